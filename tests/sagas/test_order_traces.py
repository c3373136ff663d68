"""Golden traces of edits and payments: what services say to each other about an order; `make traces` writes them anew.

Read `traces/orders/*.txt`. A line with a time tells what happens: staff or the customer do something, or a service
receives a message. The lines under it are the events that follow. An edit of a confirmed order has no table as the saga
of fulfillment has: these traces show its chain (docs/decisions/0028-edits.md).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from services.contracts.orders import OrderCreated, OrderEdited
from services.kit.domain.errors import RuleViolation
from services.orders.domain import ORDER
from services.orders.order import Cancel, Cancelled, ChangedLine, Confirmed, Edit, Failed, Order
from services.orders.pricing import Basket, WantedLine
from services.shipping.domain import SHIPMENT, Track
from tests.domain.test_orders import FIELDS, ID, PLACE
from tests.sagas.adapters import Bank
from tests.sagas.facts import seconds
from tests.sagas.shop import Shop

TRACES = Path(__file__).parent / "traces" / "orders"
ON_HAND = {"P": 10, "Q": 10, "R": 10}


@dataclass(frozen=True)
class Act:
    """What somebody does at a time, in seconds after the order is confirmed."""

    at: float
    text: str
    do: Callable[[Shop], Awaitable[object]]


@dataclass(frozen=True)
class Scenario:
    name: str
    story: str
    acts: tuple[Act, ...]
    lost: tuple[str, ...] = ()
    bank: Callable[[], Bank] = Bank


def line(product: str, quantity: int, price: str = "2.50") -> WantedLine:
    return WantedLine(product_id=product, product_name=product, quantity=quantity, unit_price=Decimal(price))


def edit(text: str, *changes: ChangedLine, at: float = 0, edit_id: str = "edt_1") -> Act:
    async def do(shop: Shop) -> None:
        command = Edit(at=shop.now, order_id=ID, edit_id=edit_id, changes=changes, reason=text)
        await shop.handlers["orders"].handle(ORDER, ID, command, shop.cause())

    return Act(at, f"staff edit the order: {text}", do)


def cancel(at: float) -> Act:
    async def do(shop: Shop) -> None:
        command = Cancel(at=shop.now, order_id=ID, reason="changed my mind")
        await shop.handlers["orders"].handle(ORDER, ID, command, shop.cause())

    return Act(at, "the customer cancels the order", do)


def dispatched(at: float) -> Act:
    async def do(shop: Shop) -> None:
        command = Track(at=shop.now, order_id=ID, status="dispatched")
        await shop.handlers["shipping"].handle(SHIPMENT, ID, command, shop.cause())

    return Act(at, "the carrier collects the parcels", do)


def replayed(type_: str, at: float = 1800) -> Act:
    async def do(shop: Shop) -> None:
        shop.deliver_again(f"zerocart.{type_}.v1")

    return Act(at, f"an operator replays {type_}", do)


def change(number: int, quantity: int) -> ChangedLine:
    return ChangedLine(line=number, quantity=quantity)


def add(product: str, quantity: int, price: str = "2.50") -> ChangedLine:
    return ChangedLine(quantity=quantity, wanted=line(product, quantity, price))


MORE = edit("7 P instead of 5", change(1, 7))
FEWER = edit("2 P instead of 5", change(1, 2))
SWAP = edit("an R instead of the Q", change(2, 0), add("R", 1))
TOO_MANY = edit("11 R instead of the Q", change(2, 0), add("R", 11))
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


SCENARIOS = (
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
             (MORE, cancel(60))),
    Scenario("edit-under-way-and-cancelled", "The customer cannot cancel while an edit is under way.", (MORE, cancel(0.025))),
    Scenario("lost-order-edited", "orders.order.edited is lost: the edit is over, and the goods and the money go back when an operator replays it.",
             (FEWER, replayed("orders.order.edited")), ("zerocart.orders.order.edited.v1",)),
    Scenario("lost-twice", "The timer's message is lost, too: the next timer ends the edit.",
             (MORE,), ("zerocart.payments.surcharge.paid.v1", "zerocart.orders.order.edit_overdue.v1")),
    Scenario("edits-up-and-down", "An edit raises the total and the next lowers it: the refund is taken from the first charge that has enough.",
             (MORE, replace(edit("2 P instead of 7", change(1, 2), edit_id="edt_2"), at=60), cancel(120))),
)  # fmt: skip


async def played(scenario: Scenario) -> Shop:
    """The shop after the scenario, which begins when an order of 5 P and 1 Q for 15.00 GBP is confirmed."""
    shop = Shop(scenario.bank(), **ON_HAND)
    basket = Basket(lines=(line("P", 5), line("Q", 1)), currencies=frozenset({"GBP"}))
    place = replace(PLACE, at=shop.now, fields=FIELDS, basket=basket)
    await shop.handlers["orders"].handle(ORDER, ID, place, shop.cause())
    await shop.run(seconds(100))
    assert isinstance(await order_of(shop), Confirmed)
    shop.trace.clear()
    shop.begin = shop.now
    shop.lost = set(scenario.lost)
    for act in scenario.acts:
        shop.later(seconds(act.at), acting(shop, act))
    await shop.run(timedelta(hours=2))
    await shop.close()
    return shop


def acting(shop: Shop, act: Act) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        shop.say(act.text)
        try:
            await act.do(shop)
        except RuleViolation as refusal:
            shop.trace.append(f"{'':11}    refused: {refusal.code}")

    return do


async def order_of(shop: Shop) -> Order:
    return (await shop.handlers["orders"].reload(ORDER, ID)).state


async def end_of(shop: Shop) -> str:
    order = await order_of(shop)
    stock = ", ".join(f"{level.on_hand} {product}" for product, level in shop.shelf.levels.items())
    money = ", ".join(
        f"{name} {each.captured.amount if each.captured else 0} less {each.returned}"
        for name, each in zip(shop.bank.facts, shop.bank.kept, strict=True)
    )
    return f"The order is {type(order).__name__.lower()}. On hand: {stock}. Charged: {money}."


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
    shop = await played(scenario)
    wanted = await content_of(shop)
    units = Counter(ON_HAND)
    for each in wanted.lines if wanted else ():
        units[each.product_id] -= each.quantity
    assert {product: (level.on_hand, level.reserved) for product, level in shop.shelf.levels.items()} == {
        product: (left, 0) for product, left in units.items()
    }
    kept = sum((each.left for each in shop.bank.kept), Decimal(0))
    assert kept == (wanted.total.amount if wanted else 0)


async def content_of(shop: Shop) -> OrderCreated | OrderEdited | None:
    """The event that tells what the order is; None if it was given up."""
    if isinstance(await order_of(shop), Cancelled | Failed):
        return None
    history = [event for _, event in await shop.handlers["orders"].history(ORDER, ID)]
    return next(event for event in reversed(history) if isinstance(event, OrderCreated | OrderEdited))


def test_every_trace_has_its_scenario() -> None:
    assert {path.stem for path in TRACES.glob("*.txt")} == {scenario.name for scenario in SCENARIOS}
