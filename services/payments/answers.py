"""The answers of payments."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Instant

__all__ = [
    "Charge", "Decided", "Dispute", "PaidAmount", "Payment", "Refund", "RefundAccepted", "RefundStatus", "Refundable",
    "RefundableLine", "RefundedLine", "Status",
]  # fmt: skip

Status = Literal[
    "none",
    "authorized",
    "renewing",
    "captured",
    "declined",
    "voided",
    "refund_pending",
    "refund_failed",
    "refunded",
    "disputed",
]
Dispute = Literal["inquiry", "open", "won", "lost"]
RefundStatus = Literal["requested", "pending", "succeeded", "failed", "refused"]


class PaidAmount(TypedDict):
    """An exact amount of money."""

    amount: Annotated[str, Field(examples=["12.50"])]
    """An exact decimal as text, with the decimals of the currency."""
    currency: Annotated[str, Field(examples=["GBP"])]
    """The ISO 4217 code."""


class RefundedLine(TypedDict):
    """Units of a line of the order."""

    line: Annotated[int, Field(ge=1)]
    """The place of the line in the order, from 1."""
    product_id: str
    quantity: Annotated[int, Field(ge=1)]
    restock: bool
    """Whether the units go back into stock."""


class RefundableLine(TypedDict):
    """The units and the amount of a line of the order that can still be refunded."""

    line: Annotated[int, Field(ge=1)]
    """The place of the line in the order, from 1."""
    product_id: str
    product_name: str
    quantity: Annotated[int, Field(ge=1)]
    """The units that the customer ordered."""
    refundable_quantity: Annotated[int, Field(ge=0)]
    """The units that no refund pays back."""
    refundable: PaidAmount
    """The amount of these units; a refund is at most the amount that remains in all."""


class Refundable(TypedDict):
    """The amounts of a payment that can still be refunded."""

    order_id: str
    refundable: PaidAmount
    """The amount that remains in all; no refund can be larger."""
    shipping: PaidAmount | None
    """What remains of the shipping cost, with its tax; null if payments does not know the lines of the order."""
    lines: list[RefundableLine] | None
    """Null if payments does not know the lines of the order, because it is old: refund amounts then."""


class Refund(TypedDict):
    """One refund."""

    refund_id: Annotated[str | None, Field(examples=["rfd_iwc61wrq2spsmypx929bhj947yw"])]
    """The id of a refund that staff requested; null if it was made otherwise."""
    status: RefundStatus
    """`requested`: the provider has not answered yet. `refused` and `failed`: the customer did not get the money."""
    amount: PaidAmount
    lines: list[RefundedLine]
    """The units that it pays back; none if staff refunded an amount."""
    shipping: PaidAmount | None
    """The part of the shipping cost that it pays back."""
    reference: str | None
    """The provider's id; null before it has one."""
    reason: str | None
    error: str | None
    """Why the provider refused the refund."""


class Charge(TypedDict):
    """Money that was taken for the order by one transaction."""

    transaction_id: str
    """The provider's id."""
    edit_id: Annotated[str | None, Field(examples=["edt_iwc61wrq2spsmypx929bhj947yw"])]
    """The edit that added the amount to the total; null for the first charge."""
    amount: PaidAmount
    refunded: PaidAmount | None
    """The part of it that arrived at the customer by refunds; null if none did."""


class RefundAccepted(TypedDict):
    """The refund is reserved and goes to the provider next."""

    order_id: str
    refund_id: Annotated[str, Field(examples=["rfd_iwc61wrq2spsmypx929bhj947yw"])]
    status: Literal["requested"]
    amount: PaidAmount
    """What goes back to the customer: for lines, the part of their amounts that remains of the payment in all.

    An amount that no single charge of the order can pay goes back by several refunds, which `GET /payments` lists.
    """
    lines: list[RefundedLine]
    shipping: PaidAmount | None


class Decided(TypedDict):
    """The capture or the void goes to the provider next."""

    order_id: str
    status: Literal["capture_requested", "void_requested"]


class Payment(TypedDict):
    """The payment of the order."""

    order_id: str
    status: Status
    transaction_id: NotRequired[str | None]
    """The provider's id of the first charge; null if the provider never held money."""
    amount: NotRequired[PaidAmount]
    refunded: NotRequired[PaidAmount | None]
    """The amount that arrived at the customer by refunds; null if none did."""
    capture_by: NotRequired[Instant | None]
    """Until when staff have to capture the payment; null if it does not wait for them."""
    refundable: NotRequired[PaidAmount | None]
    """The amount that can still be refunded; null if nothing can."""
    charges: NotRequired[list[Charge]]
    """What the amount consists of: the first charge, and one for each edit that added to the total."""
    refunds: NotRequired[list[Refund]]
    """Every refund, those that staff requested first. One that needs several charges is listed for each of them."""
    dispute: NotRequired[Dispute | None]
    """The state of a dispute by the customer's bank; null if there was none."""
    reason: NotRequired[str | None]
    """Why the provider declined."""
