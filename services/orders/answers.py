"""The answers of orders over REST."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import FieldProblem, Money, PositionText

__all__ = [
    "Amended",
    "CancellationStarted",
    "Drafted",
    "EditPreview",
    "Edited",
    "Held",
    "ImportResult",
    "ImportResults",
    "LinkRequested",
    "Placed",
    "PlacedOrDrafted",
    "Quote",
    "QuotedLine",
    "Released",
    "ShownContent",
    "Totals",
]

OrderId = Annotated[str, Field(examples=["ord_iwc61wrq2spsmypx929bhj947yw"])]
Duration = Annotated[str, Field(json_schema_extra={"format": "duration"}, examples=["PT1M"])]


class Totals(TypedDict):
    """The amounts of an order: total is subtotal - discount_total + shipping_total, plus a tax that is added."""

    subtotal: Money
    discount_total: Money
    shipping_total: Money
    tax_total: Money
    """The tax, whether it is added to the prices or included in them."""
    total: Money
    tax_included: bool
    """Whether the prices include the tax."""


class ShownContent(TypedDict):
    """The number and the totals of the order; absent if the command changed nothing."""

    number: NotRequired[Annotated[str, Field(examples=["10042"])]]
    """The number of the order for people; numbers have gaps, because a refused or repeated request uses one up."""
    totals: NotRequired[Totals]


class QuotedLine(TypedDict):
    """A line with its share of the amounts; `total` is what the customer pays for it."""

    product_id: str
    product_name: str
    quantity: int
    unit_price: Money
    subtotal: Money
    discount: Money
    tax: Money
    total: Money


class Quote(TypedDict):
    """The amounts that an order would have if it were placed now."""

    totals: Totals
    lines: list[QuotedLine]


class Drafted(ShownContent):
    """The draft is stored as it was sent; submit it to place the order."""

    order_id: OrderId
    status: Literal["draft"]


class Placed(ShownContent):
    """The order is placed and fulfillment starts; `GET /orders/{order_id}` shows how it proceeds."""

    order_id: OrderId
    status: Literal["pending", "on_hold"]
    """`on_hold` if the order matches a rule of the shop: fulfillment starts when staff release it."""
    estimated_processing_time: NotRequired[Duration]
    """An ISO 8601 duration. An estimate, not a limit. Absent if the order is on hold."""


class PlacedOrDrafted(ShownContent):
    """The order is placed and fulfillment starts; `GET /orders/{order_id}` shows how it proceeds."""

    order_id: OrderId
    status: Literal["pending", "on_hold", "draft"]
    """`on_hold` if the order matches a rule of the shop: fulfillment starts when staff release it."""
    estimated_processing_time: NotRequired[Duration]
    """An ISO 8601 duration. An estimate, not a limit. Absent for a draft and for an order that is on hold."""


class Amended(TypedDict):
    """The order is changed."""

    order_id: OrderId


class Held(TypedDict):
    """The order is on hold: nothing is charged before it is released."""

    order_id: OrderId
    status: Literal["on_hold"]


class Released(TypedDict):
    """The order is not on hold: fulfillment starts or goes on."""

    order_id: OrderId
    status: Literal["processing"]


class EditPreview(TypedDict):
    """The amounts of an order before and after an edit that is not carried out."""

    before: Totals
    after: Totals
    difference: Money
    """What the edit adds to the total; below zero if the customer gets money back."""
    lines: list[QuotedLine]
    """All lines after the edit."""


class Edited(TypedDict):
    """The edit is accepted."""

    order_id: OrderId
    status: Literal["done", "started", "planned"]
    """`started` of a confirmed order: the timeline shows whether the edit is carried out or refused.

    `planned` of an order that fulfillment works on: the edit starts when the order is confirmed.
    """
    edit_id: Annotated[str, Field(examples=["edt_01jd8w3k5m7n9p1q3r5s7t9v1x"])]
    after: Totals
    difference: Money
    """What the edit adds to the total; below zero if the customer gets money back."""
    lines: list[QuotedLine]
    """All lines after the edit."""


class CancellationStarted(TypedDict):
    """The cancellation is accepted; fulfillment undoes the steps that are done."""

    order_id: OrderId
    status: Literal["cancelling"]


class LinkRequested(TypedDict):
    """If there is such an order with this address, a mail with a link to it is on its way."""


class ImportResult(TypedDict):
    """The result of one order: 201 if it was imported, 200 if it had been before, else a problem (RFC 9457)."""

    number: NotRequired[str]
    """The number in the request, if it could be read."""
    status: int
    order_id: NotRequired[OrderId]
    """The id of the order in zerocart."""
    type: NotRequired[str]
    title: NotRequired[str]
    code: NotRequired[str]
    """Stable; for programs."""
    detail: NotRequired[str]
    """For people."""
    errors: NotRequired[list[FieldProblem]]


class ImportResults(TypedDict):
    """The result of each order, in the order of the request."""

    orders: list[ImportResult]
    position: NotRequired[PositionText]
    """The position of the last order that is stored. A query with this `position` sees them all."""
