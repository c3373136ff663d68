"""Two processes decide for one aggregate: a process must not refuse a command from an outdated state."""

from __future__ import annotations

from services.fulfillment.saga import FULFILLMENT
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.eventstore.memory import MemoryDatabase, MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark
from services.kit.privacy.vault import MemoryVault
from services.kit.saga.commands import HandleReply
from services.kit.saga.messages import StepReply
from services.kit.saga.run import Completed
from services.kit.testing import EPOCH
from tests.sagas.facts import ORDER_ID, START, STEPS
from tests.sagas.test_service import Published


async def test_a_reply_to_a_request_of_another_process_advances_the_run() -> None:
    store, published, vault = MemoryDatabase(), Published(), MemoryVault()
    one, two = (
        CommandHandler("fulfillment", log, Relay(log.outbox, published), vault)
        for log in (MemoryEventStore("fulfillment", store), MemoryEventStore("fulfillment", store))
    )
    await one.handle(FULFILLMENT, ORDER_ID, START, Cause(EPOCH, "x", mark=Mark("start")))
    await two.load(FULFILLMENT, ORDER_ID)  # remembers the run as it is now
    for number, step in enumerate(STEPS):
        handler = two if number == 3 else one  # the request of this step was made by the other process
        answer = HandleReply(at=EPOCH, jitter=0.0, reply=StepReply(saga_id=ORDER_ID, step=step))
        await handler.handle(FULFILLMENT, ORDER_ID, answer, Cause(EPOCH, "x", mark=Mark(f"answer {step}")))
    assert isinstance((await one.reload(FULFILLMENT, ORDER_ID)).state, Completed)
