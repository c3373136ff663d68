"""The order that these tests fulfill, commands to its run, and helpers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from services.contracts.fulfillment import RunStarted
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message
from services.kit.saga.commands import Cancel, Resume, RetryOverdue, SagaCommand, Start
from services.kit.saga.run import Run
from services.kit.saga.table import Saga
from services.kit.testing import EPOCH, Participants, SagaSimulator

ORDER_ID = "ord_1"
FACTS = RunStarted.model_validate_json(
    """{
    "saga_id": "ord_1", "facts_version": 1, "customer_id": "cus_1", "email": "ann@example.org", "customer_name": "Ann",
    "lines": [
        {"product_id": "85123A", "product_name": "Holder", "quantity": 6, "unit_price": "2.55"},
        {"product_id": "71053", "product_name": "Lantern", "quantity": 1, "unit_price": "3.39"},
        {"product_id": "85123A", "product_name": "Holder", "quantity": 2, "unit_price": "2.55"}
    ],
    "total": {"amount": "23.79", "currency": "GBP"},
    "shipping_address": {"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "payment_method": {"token": "tok_visa"}
    }"""
)
START = Start(at=EPOCH, jitter=0.0, facts=FACTS)
CANCEL = Cancel(at=EPOCH, jitter=0.0, saga_id=ORDER_ID, reason="changed my mind")
RESUME = Resume(at=EPOCH, jitter=0.0, saga_id=ORDER_ID, by="ops")
RETRY_OVERDUE = RetryOverdue(at=EPOCH, jitter=0.0, saga_id=ORDER_ID)
STEPS = [step.name for step in ORDER_SAGA.steps]
UNDOABLE = {step.name for step in ORDER_SAGA.steps if step.undo is not None}


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def simulate(
    participants: Participants, first: Iterable[SagaCommand] = (), saga: Saga[RunStarted] = ORDER_SAGA
) -> SagaSimulator[RunStarted]:
    """A simulator whose run gets the commands `first` and then the start."""
    simulator = SagaSimulator(saga, participants)
    for command in (*first, START):
        simulator.send(command)
    return simulator


def decided(command: SagaCommand, run: Run) -> list[Message]:
    """The events of a command that the run does not reject."""
    decision = FULFILLMENT.decide(command, run)
    assert not isinstance(decision, Rejected)
    return list(decision)
