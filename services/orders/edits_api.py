"""REST commands with which staff edit the lines of a placed order, and a preview that changes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast

from services.contracts.orders import OrderEdited, OrderEditPlanned, OrderEditRequested, PricedFields
from services.kit.auth.access import Caller
from services.kit.commands.cause import Cause
from services.kit.domain.currencies import shown_money
from services.kit.domain.ids import new_id
from services.kit.domain.message import Message, Money
from services.kit.rest.answers import Answer, CommandAnswer, location
from services.kit.rest.answers import Money as ShownMoney
from services.kit.rest.app import ExpectedVersion, RestCause, UnmarkedCause, json_router
from services.orders.answers import Edited, EditPreview, QuotedLine, Totals
from services.orders.api import AllOrders, OrderId, Writer, answer_to, check_prices, quoted
from services.orders.edit_bodies import EditBody
from services.orders.order import Edit
from services.orders.pricing import shown_totals
from services.orders.settings import OrdersSettings

__all__ = ["routes"]

routes = json_router()


@routes.post("/orders/{order_id}/edits", status_code=202, responses=location(202, "the order"))
async def edit_order(
    order_id: OrderId,
    body: EditBody,
    caller: Writer,
    cause: RestCause,
    version: ExpectedVersion,
    orders: AllOrders,
) -> CommandAnswer[Edited]:
    """Edit the lines of an order.

    Changes quantities, removes lines (quantity 0) and adds products. An added product has the price of the catalogue;
    with the scope `orders:price` the request can name another. Lines that stay keep their prices. The shipping cost
    does not change, and discounts are computed anew. Needs the scope `orders:admin` as well.

    An order that a rule of the shop put on hold is changed at once. For a confirmed order, inventory first takes the
    added goods, payments then charges what the edit adds to the total to the card of the order, and shipping changes
    the parcels last. If goods are missing, the card is declined or the carrier has the parcel, the edit is refused and
    nothing changes; the timeline shows the reason. If the customer has paid too much, the difference is refunded.

    While fulfillment works on an order, the edit is planned (`planned`), also if staff put the order on hold or have to
    capture its payment. It starts when the order is confirmed, and is dropped if the order is cancelled or fails.

    Refused (409) for every other order, and while another edit is under way or planned. Refused (409) after staff
    requested a refund of a part of the order, if the edit would take its units away or make the total lower than what
    is refunded. Refused (409 `price-changed`) if the edit adds another amount than `expected_difference` to the total,
    and (422) if no line would be left or the new total would be zero.
    """
    command = _command(order_id, body, caller, cause, orders.settings)
    return await answer_to(orders, command, cause, 202, _answer, version)


@routes.post("/orders/{order_id}/edits/preview")
async def preview_edit(
    order_id: OrderId, body: EditBody, caller: Writer, cause: UnmarkedCause, orders: AllOrders
) -> Answer[EditPreview]:
    """Preview an edit.

    Returns the amounts that the order would have after this edit, and changes nothing. Takes the body of
    `POST /orders/{order_id}/edits`, and refuses it for the same reasons.
    """
    before, after = await orders.preview(_command(order_id, body, caller, cause, orders.settings))
    difference = _money(after.total - before.total)
    return Answer(EditPreview(before=_totals(before), after=_totals(after), difference=difference, lines=_lines(after)))


def _command(order_id: str, body: EditBody, caller: Caller, cause: Cause, settings: OrdersSettings) -> Edit:
    """The edit that a request asks for; Forbidden if it names prices and the caller has no scope for that."""
    caller.require_admin()
    check_prices(caller, body.named_prices)
    return Edit(
        at=cause.at,
        order_id=order_id,
        edit_id=new_id("edt"),
        changes=tuple(line.change for line in body.lines),
        reason=body.reason,
        expected_difference=Money.of(body.expected_difference) if body.expected_difference else None,
        rules=settings.rules,
    )


STATUS: Mapping[type[Message], Literal["done", "started", "planned"]] = {
    OrderEdited: "done",
    OrderEditRequested: "started",
    OrderEditPlanned: "planned",
}


def _answer(events: Sequence[Message]) -> Edited:
    (edited,) = (event for event in events if isinstance(event, OrderEdited | OrderEditRequested | OrderEditPlanned))
    return Edited(
        order_id=edited.order_id,
        status=STATUS[type(edited)],
        edit_id=edited.edit_id,
        after=_totals(edited),
        difference=_money(edited.difference),
        lines=_lines(edited),
    )


def _money(amount: Money) -> ShownMoney:
    return cast("ShownMoney", shown_money(amount.amount, amount.currency))


def _totals(priced: PricedFields) -> Totals:
    return cast("Totals", shown_totals(priced))


def _lines(priced: PricedFields) -> list[QuotedLine]:
    return [quoted(line, priced.total.currency) for line in priced.lines]
