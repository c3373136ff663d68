"""The answers of payments."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Instant

__all__ = ["Decided", "Dispute", "PaidAmount", "Payment", "Refund", "RefundAccepted", "RefundStatus", "Status"]

Status = Literal[
    "none", "authorized", "captured", "declined", "voided", "refund_pending", "refund_failed", "refunded", "disputed"
]
Dispute = Literal["inquiry", "open", "won", "lost"]
RefundStatus = Literal["requested", "pending", "succeeded", "failed", "refused"]


class PaidAmount(TypedDict):
    """An exact amount of money."""

    amount: Annotated[str, Field(examples=["12.50"])]
    """An exact decimal as text, with the decimals of the currency."""
    currency: Annotated[str, Field(examples=["GBP"])]
    """The ISO 4217 code."""


class Refund(TypedDict):
    """One refund."""

    refund_id: Annotated[str | None, Field(examples=["rfd_iwc61wrq2spsmypx929bhj947yw"])]
    """The id of a refund that staff requested; null if it was made otherwise."""
    status: RefundStatus
    """`requested`: the provider has not answered yet. `refused` and `failed`: the customer did not get the money."""
    amount: PaidAmount
    reference: str | None
    """The provider's id; null before it has one."""
    reason: str | None
    error: str | None
    """Why the provider refused the refund."""


class RefundAccepted(TypedDict):
    """The refund is reserved and goes to the provider next."""

    order_id: str
    refund_id: Annotated[str, Field(examples=["rfd_iwc61wrq2spsmypx929bhj947yw"])]
    status: Literal["requested"]
    amount: PaidAmount


class Decided(TypedDict):
    """The capture or the void goes to the provider next."""

    order_id: str
    status: Literal["capture_requested", "void_requested"]


class Payment(TypedDict):
    """The payment of the order."""

    order_id: str
    status: Status
    transaction_id: NotRequired[str | None]
    """The provider's id; null if the provider never held money."""
    amount: NotRequired[PaidAmount]
    refunded: NotRequired[PaidAmount | None]
    """The amount that arrived at the customer by refunds; null if none did."""
    capture_by: NotRequired[Instant | None]
    """Until when staff have to capture the payment; null if it does not wait for them."""
    refundable: NotRequired[PaidAmount | None]
    """The amount that can still be refunded; null if nothing can."""
    refunds: NotRequired[list[Refund]]
    """Every refund, those that staff requested first."""
    dispute: NotRequired[Dispute | None]
    """The state of a dispute by the customer's bank; null if there was none."""
    reason: NotRequired[str | None]
    """Why the provider declined."""
