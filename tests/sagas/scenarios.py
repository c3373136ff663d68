"""What people do with an order, and the shop after it: the scenarios of the recorded traces are made of this."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal

from services.contracts.orders import CapturePolicy, OrderCreated, OrderEdited
from services.kit.domain.errors import RuleViolation
from services.kit.domain.message import Money
from services.orders.domain import ORDER
from services.orders.order import Cancel, Cancelled, ChangedLine, Edit, Failed, Hold, Order, OrderCommand, Release
from services.orders.pricing import Basket, WantedLine
from services.payments.by_hand import CaptureByHand, VoidByHand
from services.payments.domain import PAYMENT, PaymentCommand
from services.payments.reactions import Payments
from services.payments.refunds import LineWish, RequestRefund
from services.payments.transactions import Fact
from services.shipping.domain import SHIPMENT, Track
from tests.domain.test_orders import FIELDS, ID, PLACE
from tests.sagas.adapters import Bank
from tests.sagas.facts import seconds
from tests.sagas.shop import Shop

ON_HAND = {"P": 10, "Q": 10, "R": 10}


@dataclass(frozen=True)
class Act:
    """What somebody does at a time, in seconds after the trace begins."""

    at: float
    text: str
    do: Callable[[Shop], Awaitable[object]]


@dataclass(frozen=True)
class Scenario:
    """Acts on an order of 5 P and 1 Q for 15.00 GBP; the trace begins when it is confirmed, or with `placed` before.

    `lost` are messages: "TYPE" does not reach anybody the first time, "SERVICE: TYPE" does not reach this service.
    `refunded` is the money, and `restocked` the units, that staff give and take back in the end without an edit.
    """

    name: str
    story: str
    acts: tuple[Act, ...] = ()
    lost: tuple[str, ...] = ()
    bank: Callable[[], Bank] = Bank
    placed: bool = False
    capture: CapturePolicy = "when_reserved"
    refunded: Decimal = Decimal(0)
    restocked: Mapping[str, int] = field(default_factory=dict[str, int])


def line(product: str, quantity: int) -> WantedLine:
    return WantedLine(product_id=product, product_name=product, quantity=quantity, unit_price=Decimal("2.50"))


def change(number: int, quantity: int) -> ChangedLine:
    return ChangedLine(line=number, quantity=quantity)


def add(product: str, quantity: int) -> ChangedLine:
    return ChangedLine(quantity=quantity, wanted=line(product, quantity))


def edit(text: str, *changes: ChangedLine, at: float = 0, edit_id: str = "edt_1") -> Act:
    what = Edit(at=PLACE.at, order_id=ID, edit_id=edit_id, changes=changes, reason=text)
    return _of_order(at, f"staff edit the order: {text}", what)


def cancelled(at: float) -> Act:
    return _of_order(at, "the customer cancels the order", Cancel(at=PLACE.at, order_id=ID, reason="changed my mind"))


def held(at: float) -> Act:
    return _of_order(at, "staff put the order on hold", Hold(at=PLACE.at, order_id=ID, reason="the address looks odd"))


def released(at: float) -> Act:
    return _of_order(at, "staff release the order", Release(at=PLACE.at, order_id=ID))


def captured(at: float) -> Act:
    return _of_payment(at, "staff capture the payment", CaptureByHand(at=PLACE.at, order_id=ID))


def voided(at: float) -> Act:
    return _of_payment(at, "staff void the payment", VoidByHand(at=PLACE.at, order_id=ID, reason="a fraud"))


def refunded(at: float, refund_id: str, what: str | tuple[LineWish, ...]) -> Act:
    """Staff refund an amount, or units of lines."""
    amount = Money(amount=Decimal(what), currency="GBP") if isinstance(what, str) else None
    lines = () if isinstance(what, str) else what
    text = what if isinstance(what, str) else " and ".join(f"{each.quantity} of line {each.line}" for each in lines)
    command = RequestRefund(
        at=PLACE.at, order_id=ID, refund_id=refund_id, amount=amount, lines=lines, reason="a scratch"
    )
    return _of_payment(at, f"staff refund {text}", command)


def _of_order(at: float, text: str, command: OrderCommand) -> Act:
    async def do(shop: Shop) -> None:
        now = replace(command, at=shop.now)
        await shop.handlers["orders"].handle(ORDER, ID, now, shop.cause())

    return Act(at, text, do)


def _of_payment(at: float, text: str, command: PaymentCommand) -> Act:
    async def do(shop: Shop) -> None:
        now = replace(command, at=shop.now)
        await shop.handlers["payments"].handle(PAYMENT, ID, now, shop.cause())

    return Act(at, text, do)


def dispatched(at: float) -> Act:
    async def do(shop: Shop) -> None:
        command = Track(at=shop.now, order_id=ID, status="dispatched")
        await shop.handlers["shipping"].handle(SHIPMENT, ID, command, shop.cause())

    return Act(at, "the carrier collects the parcels", do)


def happened(at: float, text: str, fact: Fact) -> Act:
    """The provider reports a fact."""

    async def do(shop: Shop) -> None:
        shop.bank.happen(fact)
        await Payments(shop.handlers["payments"], shop.bank).report(ID, (fact,), shop.cause())

    return Act(at, text, do)


def replayed(type_: str, at: float = 1800) -> Act:
    async def do(shop: Shop) -> None:
        shop.deliver_again(f"zerocart.{type_}.v1")

    return Act(at, f"an operator replays {type_}", do)


async def played(scenario: Scenario) -> Shop:
    """The shop after the scenario."""
    shop = Shop(scenario.bank(), **ON_HAND)
    if not scenario.placed:
        await _place(shop, scenario)
        await shop.run(seconds(100))
        shop.trace.clear()
        shop.begin = shop.now
    shop.lost = set(scenario.lost)
    for act in scenario.acts:
        shop.later(seconds(act.at), _acting(shop, act))
    if scenario.placed:
        shop.say("the customer places the order")
        await _place(shop, scenario)
    last = max((act.at for act in scenario.acts), default=0)
    await shop.run(shop.now - PLACE.at + seconds(last) + timedelta(days=7 if scenario.placed else 0, hours=2))
    await shop.close()
    return shop


async def _place(shop: Shop, scenario: Scenario) -> None:
    basket = Basket(lines=(line("P", 5), line("Q", 1)), currencies=frozenset({"GBP"}))
    fields = FIELDS.model_copy(update={"capture": scenario.capture})
    place = replace(PLACE, at=shop.now, fields=fields, basket=basket)
    await shop.handlers["orders"].handle(ORDER, ID, place, shop.cause())


def _acting(shop: Shop, act: Act) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        shop.say(act.text)
        try:
            await act.do(shop)
        except RuleViolation as refusal:
            shop.trace.append(f"{'':11}    refused: {refusal.code}")

    return do


async def order_of(shop: Shop) -> Order:
    """The order as it is."""
    return (await shop.handlers["orders"].reload(ORDER, ID)).state


async def content_of(shop: Shop) -> OrderCreated | OrderEdited | None:
    """The event that tells what the order is; None if it was given up."""
    if isinstance(await order_of(shop), Cancelled | Failed):
        return None
    history = [event for _, event in await shop.handlers["orders"].history(ORDER, ID)]
    return next(event for event in reversed(history) if isinstance(event, OrderCreated | OrderEdited))
