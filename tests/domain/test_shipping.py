"""The shipment of an order: what it replies to the requests of the saga, and how it is tracked."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from services.contracts.fulfillment import WantedItem
from services.contracts.orders import Address
from services.contracts.shipping import (
    FulfillmentDiscard,
    FulfillmentDiscarded,
    FulfillmentPrepare,
    FulfillmentPrepared,
    ShipmentCancel,
    ShipmentCancelled,
    ShipmentChanged,
    ShipmentCreate,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDispatched,
    ShipmentNotChanged,
    ShippingRefused,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import ERASED
from services.kit.saga.messages import StepReply
from services.kit.saga.participant import Called, Failure, HandleRequest
from services.shipping.domain import PARTICIPANT, SHIPMENT, CarrierResult, ChangeParcels, Request, Shipment, Track

AT = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = Address(name="Ann", line1="1 Road", city="Leeds", country="GB")
MADE = CarrierResult("shp_1", "sandbox", "T1")
ITEMS = (WantedItem(product_id="A", quantity=700), WantedItem(product_id="B", quantity=500))


def request(verb: str, attempt: int = 1, address: Address = ADDRESS) -> Request:
    match verb:
        case "prepare":
            return FulfillmentPrepare(
                saga_id="o", step="s", attempt=attempt, shipping_address=address, items=ITEMS, priority="standard"
            )
        case "discard":
            return FulfillmentDiscard(saga_id="o", step="s", undo=True, attempt=attempt)
        case "create":
            return ShipmentCreate(saga_id="o", step="s", attempt=attempt, shipping_address=address)
        case _:
            return ShipmentCancel(saga_id="o", step="s", undo=True, attempt=attempt)


def decided(state, asked: Request, result: CarrierResult | Failure = MADE):
    """The only event of the decision; a needed call of the carrier returns `result`."""
    call = PARTICIPANT.call_for(asked, False, state)
    called = Called(call, result) if call else None
    decision = SHIPMENT.decide(HandleRequest(at=AT, request=asked, called=called), state)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    return event


def after(*verbs):
    state, events = SHIPMENT.initial, []
    for attempt, verb in enumerate(verbs, 1):
        if verb in ("dispatched", "delivered"):
            decision = SHIPMENT.decide(Track(at=AT, order_id="o", status=verb), state)
            assert not isinstance(decision, Rejected)
        else:
            decision = [decided(state, request(verb, attempt))]
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
def test_a_sequence_of_requests_ends_with_this_reply(verbs, last, success):
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
def test_a_sequence_of_requests_ends_with_a_refusal(verbs):
    _, events = after(*verbs)
    assert (events[-1].success, events[-1].transient) == (False, False)


def test_1200_units_need_three_parcels():
    _, (prepared,) = after("prepare")
    assert prepared.parcels == 3


def test_a_delivery_implies_the_dispatch_and_is_recorded_once():
    _, events = after("prepare", "create", "delivered", "dispatched", "delivered")
    assert [type(event) for event in events[2:]] == [ShipmentDispatched, ShipmentDelivered]


def test_tracking_without_a_shipment_is_rejected():
    assert isinstance(SHIPMENT.decide(Track(at=AT, order_id="o", status="delivered"), SHIPMENT.initial), Rejected)


@pytest.mark.parametrize(("before", "verb"), [((), "prepare"), (("prepare",), "create")])
def test_an_erased_address_is_refused_without_calling_the_carrier(before, verb):
    state, _ = after(*before)
    asked = request(verb, address=ADDRESS.model_copy(update={"name": ERASED}))
    assert PARTICIPANT.call_for(asked, False, state) is None
    refused = decided(state, asked)
    assert isinstance(refused, ShippingRefused)
    assert refused.error_code == "address-erased"


@pytest.mark.parametrize("transient", [True, False])
def test_a_failure_of_the_carrier_is_transient_or_final_as_the_carrier_says(transient):
    failure = Failure("carrier-error", "no", transient=transient)
    reply = decided(after("prepare")[0], request("create"), failure)
    assert isinstance(reply, StepReply)
    assert reply.transient is transient


CHANGE = ChangeParcels(at=AT, order_id="o", edit_id="e1", units=501)


OVERDUE = ChangeParcels(at=AT, order_id="o", edit_id="e1")


def changed_in(shipment: Shipment, command: ChangeParcels = CHANGE):
    decision = SHIPMENT.decide(command, shipment)
    assert not isinstance(decision, Rejected)
    return decision


def test_parcels_change_until_the_carrier_has_them():
    created, _ = after("prepare", "create")
    (changed,) = changed_in(created)
    assert isinstance(changed, ShipmentChanged)
    assert changed.parcels == 2
    for verbs, code in (
        (["prepare", "create", "dispatched"], "already-dispatched"),
        (["prepare"], "no-shipment"),
        (["prepare", "create", "cancel"], "no-shipment"),
    ):
        (refused,) = changed_in(after(*verbs)[0])
        assert isinstance(refused, ShipmentNotChanged)
        assert refused.error_code == code


def test_overdue_edit_is_refused_for_good_unless_the_parcels_contain_it():
    created, _ = after("prepare", "create")
    (refused,) = changed_in(created, OVERDUE)
    assert isinstance(refused, ShipmentNotChanged)
    assert refused.error_code == "edit-overdue"
    assert changed_in(SHIPMENT.fold([refused], created)) == [refused], "its request comes late"
    changed = SHIPMENT.fold(changed_in(created), created)
    dispatched = SHIPMENT.decide(Track(at=AT, order_id="o", status="dispatched"), changed)
    assert not isinstance(dispatched, Rejected)
    for state in (changed, SHIPMENT.fold(dispatched, changed)):
        (again,) = changed_in(state, OVERDUE)
        assert isinstance(again, ShipmentChanged)
        assert again.parcels == 2
