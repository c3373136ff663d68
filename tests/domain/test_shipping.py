"""What may happen to parcels."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.contracts.orders import Address
from services.contracts.shipping import (
    FulfillmentDiscarded,
    FulfillmentPrepared,
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
)
from services.kit.domain.decider import Rejected
from services.shipping.domain import SHIPMENT, Ask, Done, NotDone, Record, Track, call_for

AT = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = Address(name="Ann", line1="1 Road", city="Leeds", country="GB")
MADE = Done("shp_1", "sandbox", "T1")


def ask(verb, attempt=1, **more) -> Ask:
    undo = verb in ("discard", "cancel")
    return Ask(saga_id="o", step="s", undo=undo, attempt=attempt, verb=verb, address=ADDRESS, **more)


def after(*verbs):
    state, events = SHIPMENT.initial, []
    for attempt, verb in enumerate(verbs, 1):
        if verb in ("dispatched", "delivered"):
            decision = SHIPMENT.decide(Track(at=AT, order_id="o", status=verb), state)
        else:
            request = ask(verb, attempt, units=1_200)
            answer = MADE if call_for(request, state) else None
            decision = SHIPMENT.decide(Record(at=AT, ask=request, answer=answer), state)
        assert not isinstance(decision, Rejected)
        events += decision
        state = SHIPMENT.fold(decision, state)
    return state, events


@pytest.mark.parametrize(
    ("verbs", "last", "success"),
    [
        (["prepare"], FulfillmentPrepared, True),
        (["prepare", "create"], ShipmentCreated, True),
        (["prepare", "create", "create"], ShipmentCreated, True),
        (["prepare", "create", "cancel"], ShipmentCancelled, True),
        (["cancel"], ShipmentCancelled, True),
        (["discard"], FulfillmentDiscarded, True),
        (["prepare", "create", "cancel", "discard"], FulfillmentDiscarded, True),
    ],
)
def test_answers(verbs, last, success):
    _, events = after(*verbs)
    assert isinstance(events[-1], last)
    assert events[-1].success is success


@pytest.mark.parametrize(
    "verbs",
    [
        ["create"],
        ["discard", "prepare"],
        ["prepare", "cancel", "create"],
        ["prepare", "create", "dispatched", "cancel"],
    ],
)
def test_refusals(verbs):
    _, events = after(*verbs)
    assert (events[-1].success, events[-1].transient) == (False, False)


def test_parcels():
    _, (prepared,) = after("prepare")
    assert prepared.parcels == 3


def test_tracking():
    _, events = after("prepare", "create", "delivered", "dispatched", "delivered")
    assert [type(event) for event in events[2:]] == [ShipmentDispatched, ShipmentDelivered]
    assert isinstance(SHIPMENT.decide(Track(at=AT, order_id="o", status="delivered"), SHIPMENT.initial), Rejected)


def test_failures_say_whether_they_may_pass():
    for transient in (True, False):
        answer = NotDone("carrier-error", "no", transient=transient)
        decision = SHIPMENT.decide(Record(at=AT, ask=ask("create"), answer=answer), after("prepare")[0])
        assert not isinstance(decision, Rejected)
        assert decision[0].transient is transient  # pyright: ignore[reportAttributeAccessIssue]
