"""REST commands of orders: place, draft, amend and cancel an order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar, cast

from fastapi import Path, Query

from services.contracts.orders import (
    AmendedFields,
    OrderContent,
    OrderHeld,
    OrderLine,
    PlacedFields,
)
from services.contracts.scopes import ORDERS_ADMIN, ORDERS_PRICE
from services.contracts.users import GUEST_PREFIX
from services.kit.auth.access import Caller, needs
from services.kit.commands.cause import Cause
from services.kit.domain.currencies import shown_money
from services.kit.domain.errors import Forbidden
from services.kit.domain.ids import new_id
from services.kit.domain.message import Message, Money
from services.kit.privacy.encryption import contact_of
from services.kit.privacy.vault import Vault
from services.kit.rest.answers import Answer, CommandAnswer, location
from services.kit.rest.app import ExpectedVersion, RestCause, UnmarkedCause, json_router, provided, respond
from services.kit.rest.faults import nothing_to_change
from services.kit.rest.limits import limited
from services.orders.answers import (
    Amended,
    CancellationStarted,
    Drafted,
    Placed,
    PlacedOrDrafted,
    Quote,
    QuotedLine,
    ShownContent,
    Totals,
)
from services.orders.bodies import (
    AmendBody,
    BasketBody,
    CancelBody,
    OrderBody,
    QuoteBody,
    SubmitBody,
)
from services.orders.limits import RATES
from services.orders.order import (
    ID_PREFIX,
    Amend,
    BeginDraft,
    Cancel,
    OrderCommand,
    Place,
    RewriteDraft,
    Submit,
)
from services.orders.orders import Orders
from services.orders.pricing import Basket, shown_totals
from services.orders.settings import OrdersSettings
from services.orders.shop_rules import Delivery

__all__ = ["AllOrders", "OrderId", "Writer", "answer_to", "check_prices", "quoted", "routes"]

routes = json_router()

ESTIMATED_PROCESSING_TIME = "PT1M"

Body = TypeVar("Body", bound=Mapping[str, object])
OrderId = Annotated[
    str, Path(max_length=64, description="The id of the order.", examples=["ord_iwc61wrq2spsmypx929bhj947yw"])
]
AsDraft = Annotated[
    bool, Query(alias="draft", description="Begin a draft, which is not fulfilled before `submit`.", examples=[True])
]
Writer = Annotated[Caller, needs("orders:write")]
AllOrders = Annotated[Orders, provided(Orders)]


@routes.post(
    "/orders",
    status_code=202,
    responses={
        **location(202, "the order"),
        201: {**location(201, "the order")[201], "description": "The draft is stored; submit it to place the order."},
    },
    dependencies=[limited("place", RATES, GUEST_PREFIX)],
)
async def place_order(
    body: OrderBody,
    caller: Writer,
    cause: RestCause,
    orders: AllOrders,
    as_draft: AsDraft = False,
) -> CommandAnswer[PlacedOrDrafted]:
    """Place an order.

    Places an order of the caller; with the scope `orders:admin` also of another customer, or of a guest. With
    `draft=true` the order is stored as a draft: nothing is reserved or charged before it is submitted.

    For a customer with an account, `email` and `customer_name` may be absent: they then come from the account.
    The account of a program has no address: zerocart sends no mails about its order if the order has no `email`.

    The catalogue gives the names and the prices of the items. The shop gives the taxes and the shipping cost, for the
    address and the `shipping_method` (the cheapest method if the request names none). Only with the scope
    `orders:price` may the request name prices, product names, discounts, taxes or the shipping cost; without it such a
    request is refused (403).

    Refused (422) if a product is not sold or has no price in the currency, if the shop does not ship the order to the
    address, if amounts have several currencies, if the total is zero, or if the order of a guest has no `email`.
    Refused (409 `price-changed`, with the new `totals`) if the total is not `expected_total`.

    If an order matches a rule of the shop, it is on hold (`"status": "on_hold"`) until staff release it.
    """
    settings = orders.settings
    fields, basket = await _fields(body, caller, orders.handler.vault, settings), _basket(body, caller, settings)
    order_id = new_id(ID_PREFIX)
    command = (BeginDraft if as_draft else Place)(
        at=cause.at, order_id=order_id, number=await orders.numbers.next(), fields=fields, basket=basket,
        rules=settings.rules, is_acknowledged=settings.mails_when_placed,
    )  # fmt: skip
    if as_draft:
        return await answer_to(
            orders, command, cause, 201, lambda events: PlacedOrDrafted(**_drafted(order_id, events))
        )
    return await answer_to(orders, command, cause, 202, lambda events: PlacedOrDrafted(**_placed(order_id, events)))


@routes.post("/quotes", dependencies=[limited("quote", RATES, GUEST_PREFIX)])
async def quote_order(body: QuoteBody, caller: Writer, cause: UnmarkedCause, orders: AllOrders) -> Answer[Quote]:
    """Quote an order.

    Returns the amounts that an order would have if it were placed now, and changes nothing. The body is that of `POST
    /orders`; only `items` is required. Refused (403) if the request names prices without the scope `orders:price`, as
    in `POST /orders`.
    """
    address, settings = body.shipping_address, orders.settings
    method = body.shipping_method
    to = Delivery(settings.rules.home_country, method=method) if address is None else Delivery.to(address, method)
    priced = await orders.quote(_basket(body, caller, settings), cause, settings.rules, to)
    lines = [quoted(line, priced.total.currency) for line in priced.lines]
    return Answer(Quote(totals=cast("Totals", shown_totals(priced)), lines=lines))


@routes.put("/orders/{order_id}", responses=location(200, "the order"))
async def redraft_order(
    order_id: OrderId,
    body: OrderBody,
    caller: Writer,
    cause: RestCause,
    version: ExpectedVersion,
    orders: AllOrders,
) -> CommandAnswer[Drafted]:
    """Replace a draft.

    Replaces the whole content of a draft. Prices follow the rules of `POST /orders`. Refused (409) once the draft is
    submitted: amend or cancel the order instead.
    """
    settings = orders.settings
    fields, basket = await _fields(body, caller, orders.handler.vault, settings), _basket(body, caller, settings)
    command = RewriteDraft(
        at=cause.at, order_id=order_id, fields=fields, basket=basket, rules=settings.rules, restricted_to=caller.own
    )
    return await answer_to(orders, command, cause, 200, lambda events: _drafted(order_id, events), version)


@routes.post("/orders/{order_id}/submit", status_code=202, responses=location(202, "the order"))
async def submit_order(
    order_id: OrderId,
    caller: Writer,
    cause: RestCause,
    version: ExpectedVersion,
    orders: AllOrders,
    body: SubmitBody,
) -> CommandAnswer[Placed]:
    """Submit a draft.

    Places the order that a draft describes, and fulfillment starts. The items get the prices that the catalogue has
    now, except those whose prices the draft names. Submitting again changes nothing. Refused (422) if a product is not
    sold any more, (409 `price-changed`) if the total is not `expected_total`, and (409) if the order was cancelled, has
    failed, or was imported.
    """
    expected = Money.of(body.expected_total) if body.expected_total else None
    command = Submit(
        at=cause.at, order_id=order_id, restricted_to=caller.own, rules=orders.settings.rules, expected_total=expected,
        is_acknowledged=orders.settings.mails_when_placed,
    )  # fmt: skip
    return await answer_to(orders, command, cause, 202, lambda events: _placed(order_id, events), version)


@routes.patch("/orders/{order_id}", status_code=202, responses=location(202, "the order"))
async def amend_order(
    order_id: OrderId, body: AmendBody, caller: Writer, cause: RestCause, version: ExpectedVersion, orders: AllOrders
) -> CommandAnswer[Amended]:
    """Amend an order.

    Changes addresses, the contact, notes, tags or metadata of a draft or a pending order. A field that is absent or
    null does not change; `tags` and `metadata` are replaced as a whole. The parcel and the mails get the new values.
    Refused (409) once the parcel is being made, and if the new address can change the taxes or the shipping cost:
    cancel the order and place another. Refused (409) for an imported order, too.
    """
    if not body.model_fields_set:
        raise nothing_to_change()
    changes, rules = AmendedFields.of(body), orders.settings.rules
    command = Amend(at=cause.at, order_id=order_id, changes=changes, rules=rules, restricted_to=caller.own)
    return await answer_to(orders, command, cause, 202, Amended(order_id=order_id), version)


@routes.post("/orders/{order_id}/cancel", status_code=202, responses=location(202, "the order"))
async def cancel_order(
    order_id: OrderId, body: CancelBody, caller: Writer, cause: RestCause, version: ExpectedVersion, orders: AllOrders
) -> CommandAnswer[CancellationStarted]:
    """Cancel an order.

    A draft, and an order that a rule of the shop put on hold, are cancelled at once. For any other placed order,
    fulfillment first undoes the finished steps and gives the money back. Cancelling again changes nothing. Refused
    (409) once the carrier has the parcel, if the order failed, and for an imported order.
    """
    command = Cancel(at=cause.at, order_id=order_id, reason=body.reason, restricted_to=caller.own)
    started = CancellationStarted(order_id=order_id, status="cancelling")
    return await answer_to(orders, command, cause, 202, started, version)


async def answer_to(
    orders: Orders,
    command: OrderCommand,
    cause: Cause,
    status: int,
    body: Body | Callable[[Sequence[Message]], Body],
    version: int | None = None,
) -> CommandAnswer[Body]:
    """Carry out a command on one order, and answer `body`, which can be a function of the events."""
    return await respond(
        cause,
        lambda marked: orders.carry_out(command, marked, version),
        status=status,
        body=body,
        location=f"/orders/{command.order_id}",
    )


def quoted(line: OrderLine, currency: str) -> QuotedLine:
    """A line as answers show it."""
    amounts = ("unit_price", "subtotal", "discount", "tax", "total")
    shown = {name: shown_money(getattr(line, name), currency) for name in amounts}
    of_line = {"product_id": line.product_id, "product_name": line.product_name, "quantity": line.quantity}
    return cast("QuotedLine", of_line | shown)


def _drafted(order_id: str, events: Sequence[Message]) -> Drafted:
    return Drafted(order_id=order_id, status="draft", **_content(events))


def _placed(order_id: str, events: Sequence[Message]) -> Placed:
    content = _content(events)
    if any(isinstance(event, OrderHeld) for event in events):
        return Placed(order_id=order_id, status="on_hold", **content)
    time = ESTIMATED_PROCESSING_TIME
    return Placed(order_id=order_id, status="pending", estimated_processing_time=time, **content)


def _content(events: Sequence[Message]) -> ShownContent:
    """The number and the amounts of the order that an event carries; none if nothing changed."""
    content = next((event for event in events if isinstance(event, OrderContent)), None)
    if content is None:
        return ShownContent()
    number = {} if content.number is None else {"number": content.number}
    return ShownContent(totals=cast("Totals", shown_totals(content)), **number)


def _basket(body: BasketBody, caller: Caller, settings: OrdersSettings) -> Basket:
    check_prices(caller, body.named_prices)
    return body.basket(settings.currency)


def check_prices(caller: Caller, named: tuple[str, ...]) -> None:
    """Forbidden if a request names prices in these fields, and the caller has no scope for that."""
    if named and ORDERS_PRICE not in caller.scopes:
        raise Forbidden(ORDERS_PRICE, named)


async def _fields(body: OrderBody, caller: Caller, vault: Vault, settings: OrdersSettings) -> PlacedFields:
    """The fields of the contract; e-mail and name that the body does not give come from the customer's account.

    Every order says when its money is taken, so that a change of the shop's setting changes no order.

    Forbidden if the caller may not order for this customer or set `placed_at` or `capture`.
    """
    customer_id = caller.own if body.customer_id is None else body.customer_id
    if not caller.may_reach(customer_id) or (caller.own is not None and (body.placed_at or body.capture)):
        raise Forbidden(ORDERS_ADMIN)
    body.require_customer(customer_id)
    own = {"customer_id": customer_id, "capture": body.capture or settings.capture}
    if customer_id is None or (body.email and body.customer_name):
        return PlacedFields.of(body, **own)
    known = await contact_of(vault, customer_id)
    email, name = (
        (body.email or known.email, body.customer_name or known.name) if known else (body.email, body.customer_name)
    )
    return PlacedFields.of(body, **own, email=email, customer_name=name)
