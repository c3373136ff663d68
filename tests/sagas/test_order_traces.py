"""Golden traces of edits and payments: what services say to each other about an order; `make traces` writes them anew.

Read `traces/orders/*.txt`. A line with a time tells what happens: staff or the customer do something, or a service
receives a message. The lines under it are the events that follow. An edit of a confirmed order has no table as the saga
of fulfillment has: these traces show its chain (docs/decisions/0028-edits.md).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from services.kit.domain.message import Money
from services.payments.refunds import LineWish
from services.payments.transactions import Fact, Transaction
from tests.sagas.adapters import Bank
from tests.sagas.scenarios import (
    ON_HAND,
    Act,
    Scenario,
    add,
    cancelled,
    captured,
    change,
    content_of,
    dispatched,
    edit,
    happened,
    held,
    order_of,
    played,
    refunded,
    released,
    replayed,
    voided,
)
from tests.sagas.shop import SERVICES, Shop, received_by

TRACES = Path(__file__).parent / "traces" / "orders"
DAY = 86_400

MORE = edit("7 P instead of 5", change(1, 7))
FEWER = edit("2 P instead of 5", change(1, 2))
SWAP = edit("an R instead of the Q", change(2, 0), add("R", 1))
TOO_MANY = edit("11 R instead of the Q", change(2, 0), add("R", 11))
DISPUTE = Fact("disputed", "txn_1", Money(amount=Decimal(15), currency="GBP"), "dp_1")
CHAIN = (
    "orders.order.edit_requested", "inventory.reservation.extended", "payments.surcharge.requested",
    "payments.surcharge.paid", "shipping.shipment.changed",
)  # fmt: skip
"""The messages of an edit that raises the total, in their order."""


def lost(type_: str, *acts: Act, bank: Callable[[], Bank] = Bank) -> Scenario:
    what = type_.partition(".")[2]
    return Scenario(
        f"lost-{what.replace('.', '-').replace('_', '-')}",
        f"{type_} is lost: the timer ends the edit, and the message changes nothing when an operator replays it.",
        acts=(*acts, replayed(type_)),
        lost=(f"zerocart.{type_}.v1",),
        bank=bank,
    )


EDITS = (
    Scenario("edit-lowers-the-total", "Fewer units: they return to the stock, and their price to the customer.", (FEWER,)),
    Scenario("edit-raises-the-total", "More units: the difference is charged before the parcels change.", (MORE,)),
    Scenario("edit-keeps-the-total", "Another product at the same price: no money moves.", (SWAP,)),
    Scenario("edit-without-stock", "The goods that the edit adds are out of stock: nothing changes.",
             (TOO_MANY,)),
    Scenario("edit-card-declined", "The card is declined: inventory gives the goods back.", (MORE,),
             bank=lambda: Bank(declines=frozenset({"surcharge"}))),
    Scenario("edit-answer-lost", "The provider charges, and its answer is lost: payments asks again.", (MORE,),
             bank=lambda: Bank(loses={"surcharge"})),
    Scenario("edit-parcels-collected", "The carrier collects the parcels while the card is charged: the charge and the goods go back.",
             (MORE, dispatched(0.025))),
    *(lost(type_, MORE) for type_ in CHAIN),
    lost("inventory.reservation.not_extended", TOO_MANY),
    lost("payments.surcharge.refused", MORE, bank=lambda: Bank(declines=frozenset({"surcharge"}))),
    lost("shipping.shipment.not_changed", MORE, dispatched(0.025)),
    Scenario("edit-late-repeat", "Each message of the chain is delivered again after the edit: nothing happens twice.",
             (MORE, *(replayed(type_, 60 + number) for number, type_ in enumerate(CHAIN)))),
    Scenario("edit-then-cancelled", "The customer cancels after an edit: both charges are refunded and all goods return.",
             (MORE, cancelled(60))),
    Scenario("edit-under-way-and-cancelled", "The customer cannot cancel while an edit is under way.", (MORE, cancelled(0.025))),
    Scenario("lost-order-edited", "orders.order.edited is lost: the edit is over, and the goods and the money go back when an operator replays it.",
             (FEWER, replayed("orders.order.edited")), ("zerocart.orders.order.edited.v1",)),
    Scenario("lost-twice", "The timer's message is lost, too: the next timer ends the edit.",
             (MORE,), ("zerocart.payments.surcharge.paid.v1", "zerocart.orders.order.edit_overdue.v1")),
    Scenario("edits-up-and-down", "An edit raises the total and the next lowers it: the refund is taken from the first charge that has enough.",
             (MORE, edit("2 P instead of 7", change(1, 2), at=60, edit_id="edt_2"), cancelled(120))),
    Scenario("edit-before-the-capture", "Staff edit while the payment waits for its capture: the edit starts when the order is confirmed.",
             (edit("7 P instead of 5", change(1, 7), at=60), captured(3600)), placed=True, capture="by_hand"),
    Scenario("edit-before-the-void", "Staff edit while the payment waits for its capture, and void it: the edit never starts.",
             (edit("7 P instead of 5", change(1, 7), at=60), voided(3600)), placed=True, capture="by_hand"),
    Scenario("edit-and-dispute", "The bank takes the money back while an edit is under way: the order is undone, and the edit with it.",
             (MORE, happened(0.025, "the customer's bank disputes the payment", DISPUTE))),
    Scenario("edit-and-dispute-and-answer-lost", "The same, but payments learns of the surcharge when everything is undone: it gives it back.",
             (MORE, happened(0.025, "the customer's bank disputes the payment", DISPUTE)), bank=lambda: Bank(loses={"surcharge"})),
    Scenario("parked-at-payments", "The refusal of an edit is parked at payments: the surcharge goes back when an operator replays it.",
             (MORE, dispatched(0.025), replayed("shipping.shipment.not_changed")),
             ("payments: zerocart.shipping.shipment.not_changed.v1",)),
    Scenario("parked-at-inventory", "The refusal of an edit is parked at inventory while the next edit runs: its goods go back when an operator replays it.",
             (MORE, edit("1 P instead of 5", change(1, 1), at=60, edit_id="edt_2"), replayed("payments.surcharge.refused")),
             ("inventory: zerocart.payments.surcharge.refused.v1",), lambda: Bank(declines=frozenset({"surcharge"}))),
)  # fmt: skip

PAYMENTS = (
    Scenario("captured-when-reserved", "The usual order: the payment is captured when the goods are reserved.", placed=True),
    Scenario("captured-at-once", "The authorization captures the payment, too.", placed=True, capture="at_once"),
    Scenario("captured-at-once-and-cancelled", "The authorization captures the payment, and the customer cancels at once: it is refunded.",
             (cancelled(0.015),), placed=True, capture="at_once"),
    Scenario("captured-by-hand", "Staff capture the payment after two days.", (captured(2 * DAY),), placed=True, capture="by_hand"),
    Scenario("voided-by-hand", "Staff void the payment after two days: the order is cancelled.", (voided(2 * DAY),),
             placed=True, capture="by_hand"),
    Scenario("nobody-captures", "Nobody captures the payment in six days: the order fails.", placed=True, capture="by_hand"),
    Scenario("authorization-renewed", "The authorization has expired when staff capture: payments renews it and captures then.",
             (captured(2 * DAY),), placed=True, capture="by_hand", bank=lambda: Bank(expires=True)),
    Scenario("authorization-not-renewed", "The authorization has expired when staff capture, and the card is declined: the order is given up.",
             (captured(2 * DAY),), placed=True, capture="by_hand", bank=lambda: Bank(expires=True, declines=frozenset({"renew"}))),
    Scenario("held-and-released", "Staff put the order on hold and release it after a day: nothing is captured before.",
             (held(0.005), released(DAY)), placed=True),
    Scenario("held-for-too-long", "Nobody releases the order in six days: it fails.", (held(0.005),), placed=True),
    Scenario("cancelled-on-hold", "The customer cancels an order that is on hold: the authorization is voided.",
             (held(0.005), cancelled(DAY)), placed=True),
    Scenario("refunds-by-line", "Staff refund two units and take them back into stock, and then one that is broken.",
             (refunded(0, "rfd_1", (LineWish(1, 2, restock=True),)), refunded(60, "rfd_2", (LineWish(1, 1),)),
              refunded(120, "rfd_3", (LineWish(1, 3),))),
             refunded=Decimal("7.50"), restocked={"P": 2}),
    Scenario("refunds-of-several-charges", "An edit made a second charge: refunds spread over both, and the last cancels the order.",
             (MORE, refunded(60, "rfd_1", "12.00"), refunded(120, "rfd_2", "6.00"), refunded(180, "rfd_3", "2.01"),
              refunded(240, "rfd_4", "2.00"))),
)  # fmt: skip
SCENARIOS = (*EDITS, *PAYMENTS)


def charged(transaction: Transaction) -> str:
    amount = transaction.captured.amount if transaction.captured else Decimal(0)
    text = f"{amount} captured, {transaction.returned} refunded"
    return f"{text}, charged back" if transaction.is_charged_back else text


async def end_of(shop: Shop) -> str:
    order = await order_of(shop)
    stock = ", ".join(f"{level.on_hand} {product}" for product, level in shop.shelf.levels.items())
    money = ", ".join(f"{name} {charged(each)}" for name, each in shop.bank.by_name.items())
    return f"The order is {type(order).__name__.lower()}. On hand: {stock}. At the provider: {money}."


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_the_services_say_what_is_recorded(scenario: Scenario) -> None:
    shop = await played(scenario)
    path = TRACES / f"{scenario.name}.txt"
    text = "\n".join([scenario.story, "", *shop.trace, "", await end_of(shop), ""])
    if os.environ.get("UPDATE_TRACES"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
async def test_goods_and_money_agree_with_the_order_at_the_end(scenario: Scenario) -> None:
    await assert_agreement(await played(scenario), scenario)


PARKED = ("edit-lowers-the-total", "edit-raises-the-total", "edit-card-declined", "edit-parcels-collected",
          "edit-then-cancelled", "edit-and-dispute")  # fmt: skip


@pytest.mark.parametrize("name", PARKED)
async def test_they_agree_whichever_message_one_service_parks_until_an_operator_replays_it(name: str) -> None:
    (scenario,) = [each for each in SCENARIOS if each.name == name]
    shop = await played(scenario)
    types = dict.fromkeys(event.type for event in shop.published if event.time >= shop.begin)
    parked = [(service, type_) for service in SERVICES for type_ in types if type_ in received_by(service)]
    assert len(parked) > len(SERVICES)
    for service, type_ in parked:
        lost = (f"{service}: {type_}",)
        acts = (*scenario.acts, replayed(type_.removeprefix("zerocart.").removesuffix(".v1"), at=3600))
        await assert_agreement(await played(replace(scenario, acts=acts, lost=lost)), scenario)


async def assert_agreement(shop: Shop, scenario: Scenario) -> None:
    """No edit is open, and goods and money are where the order says."""
    assert getattr(await order_of(shop), "editing", None) is None
    wanted = await content_of(shop)
    units = Counter(ON_HAND)
    for each in wanted.lines if wanted else ():
        units[each.product_id] -= each.quantity
    units.update(scenario.restocked)
    assert {product: (level.on_hand, level.reserved) for product, level in shop.shelf.levels.items()} == {
        product: (left, 0) for product, left in units.items()
    }
    assert not any(each.is_held for each in shop.bank.by_name.values())
    assert shop.bank.money == (wanted.total.amount - scenario.refunded if wanted else 0)


def test_every_trace_has_its_scenario() -> None:
    assert {path.stem for path in TRACES.glob("*.txt")} == {scenario.name for scenario in SCENARIOS}
