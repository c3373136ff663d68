"""Messages about payments: the requests of the saga to the payments service, and the messages of payments.

A request is a command. Fulfillment publishes it, but its class is here, with the service that handles it.
"""

from typing import ClassVar, Literal

from services.contracts.inventory import ReservedItem
from services.contracts.orders import Amount, CapturePolicy, PaymentMethod, RefundedLine
from services.kit.domain.message import Message, Money, Sku, Value
from services.kit.saga import messages as saga

__all__ = [
    "EDIT_REFUND",
    "CaptureRequested",
    "PaidLine",
    "PaymentAuthorized",
    "PaymentCapture",
    "PaymentCapturePending",
    "PaymentCaptured",
    "PaymentDeclined",
    "PaymentFailed",
    "PaymentItemised",
    "PaymentProcess",
    "PaymentRefund",
    "PaymentRefundPending",
    "PaymentRefunded",
    "PaymentVoid",
    "PaymentVoided",
    "ProviderFact",
    "ProviderReported",
    "ProviderUpdated",
    "RefundRefused",
    "RefundRequested",
    "RenewalRefused",
    "RenewalRequested",
    "ReportedChange",
    "RestockRequested",
    "SurchargePaid",
    "SurchargeRefused",
    "SurchargeRequested",
    "SurchargeUndone",
    "VoidRequested",
]

EDIT_REFUND = "rfd_edt_"
"""The id of a refund that pays the difference of an edit back begins so."""


class PaidLine(Value):
    """A line of an order: its place from 1, and what the customer pays for all its units."""

    line: int
    product_id: Sku
    product_name: str
    quantity: int
    total: Amount


# Requests of the saga


class PaymentProcess(saga.StepRequest):
    """Request to authorize `amount`, so that the provider holds it on the customer's card, or takes it `at_once`.

    `lines` and `shipping`, the shipping cost with its tax, come to `amount`; requests about old orders have neither.
    """

    type: ClassVar[str] = "zerocart.fulfillment.payment.process.v1"
    customer_id: str | None = None
    amount: Money
    payment_method: PaymentMethod
    capture: CapturePolicy | None = None
    lines: tuple[PaidLine, ...] = ()
    shipping: Amount | None = None


class PaymentVoid(saga.StepRequest):
    """Request to void the authorization; it succeeds if there is none."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.void.v1"


class PaymentCapture(saga.StepRequest):
    """Request to capture the authorized amount, so that the provider charges the card; `by_hand` staff do it."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.capture.v1"
    amount: Money
    capture: CapturePolicy | None = None


class PaymentRefund(saga.StepRequest):
    """Request to refund the captured amount; it succeeds if nothing was captured."""

    type: ClassVar[str] = "zerocart.fulfillment.payment.refund.v1"


# Replies to the saga


class PaymentAuthorized(saga.StepReply):
    """The provider holds `amount` on the customer's card."""

    type: ClassVar[str] = "zerocart.payments.payment.authorized.v1"
    customer_id: str | None = None
    transaction_id: str
    amount: Money


class PaymentDeclined(saga.StepReply):
    """The provider refused to authorize or to capture; another attempt would be refused too."""

    type: ClassVar[str] = "zerocart.payments.payment.declined.v1"
    customer_id: str | None = None
    amount: Money


class PaymentFailed(saga.StepReply):
    """Payments did not carry out the request: the provider could not be reached, or the request is not valid now.

    The provider may have carried out an earlier attempt.
    """

    type: ClassVar[str] = "zerocart.payments.payment.failed.v1"
    customer_id: str | None = None


class PaymentCaptured(saga.StepReply):
    """The provider charged `amount`."""

    type: ClassVar[str] = "zerocart.payments.payment.captured.v1"
    transaction_id: str
    amount: Money


class PaymentCapturePending(saga.StepReply):
    """The authorized amount waits for staff to capture it; payments replies again when they have."""

    type: ClassVar[str] = "zerocart.payments.payment.capture_pending.v1"
    success: bool = False
    transaction_id: str
    amount: Money


class PaymentVoided(saga.StepReply):
    """The provider holds no money for the order; `transaction_id` is absent if it never did."""

    type: ClassVar[str] = "zerocart.payments.payment.voided.v1"
    transaction_id: str | None = None


class PaymentRefunded(saga.StepReply):
    """The customer has the captured money back; `amount` is absent if nothing had been captured.

    `refund_id` and `refund_amount` are of the refund that payments made for this request, if it made one.
    `charged_back` says that the customer's bank took the money by a dispute.
    """

    type: ClassVar[str] = "zerocart.payments.payment.refunded.v1"
    transaction_id: str | None = None
    amount: Money | None = None
    refund_id: str | None = None
    refund_amount: Money | None = None
    charged_back: bool = False


class PaymentRefundPending(saga.StepReply):
    """The refund of `amount` has begun; payments replies again when it arrives or fails."""

    type: ClassVar[str] = "zerocart.payments.payment.refund_pending.v1"
    success: bool = False
    transaction_id: str | None = None
    amount: Money
    refund_id: str | None = None
    refund_amount: Money | None = None


class PaymentMessage(Message):
    """A message about the payment of one order, outside the saga."""

    key: ClassVar[str] = "order_id"
    order_id: str


class PaymentItemised(PaymentMessage):
    """What the customer pays for: the lines of the order and the shipping cost with its tax, in the payment's currency.

    The event with the highest `order_version` holds: the version of the order that has these lines, 0 if it was not
    edited.
    """

    type: ClassVar[str] = "zerocart.payments.payment.itemised.v1"
    lines: tuple[PaidLine, ...]
    shipping: Amount
    order_version: int = 0


class ProviderFact(PaymentMessage):
    """A fact about the payment that the provider told and payments did not know.

    Somebody caused it there (a refund in the dashboard), or the customer's bank (a dispute), or payments itself by a
    call whose answer was lost. `reference` is the provider's id of the refund or dispute that `amount` is about.
    `refunded` is the money that the customer has back by refunds after this. `unpaid` says that the order is not paid
    any more: goods that were not shipped must not be shipped. `refund_id` is our id of a refund that staff requested,
    `lines` and `shipping` are what they refunded by it. `charge_id` is the edit for whose surcharge the transaction is.
    """

    transaction_id: str
    amount: Money | None = None
    reference: str | None = None
    refunded: Money | None = None
    unpaid: bool = False
    refund_id: str | None = None
    lines: tuple[RefundedLine, ...] = ()
    shipping: Money | None = None
    charge_id: str | None = None


class ProviderReported(ProviderFact):
    """The provider reported a refund, the end of a hold, or a dispute that payments did not request.

    The amount of "refunded" and "partly_refunded" is the sum of all refunds.
    """

    type: ClassVar[str] = "zerocart.payments.provider.reported.v1"
    what: Literal["refunded", "partly_refunded", "canceled", "disputed"]


class ProviderUpdated(ProviderFact):
    """The provider reported how a hold, a refund or a dispute went on."""

    type: ClassVar[str] = "zerocart.payments.provider.updated.v1"
    what: Literal[
        "authorized", "captured", "expired", "refund_pending", "refund_succeeded", "refund_failed", "inquiry",
        "dispute_won", "dispute_lost",
    ]  # fmt: skip


class CaptureRequested(PaymentMessage):
    """Staff requested to capture the payment; payments asks the provider, and then replies to the saga."""

    type: ClassVar[str] = "zerocart.payments.capture.requested.v1"
    transaction_id: str
    amount: Money


class VoidRequested(PaymentMessage):
    """Staff requested to void the payment; payments asks the provider, and ProviderReported tells when it is done."""

    type: ClassVar[str] = "zerocart.payments.void.requested.v1"
    transaction_id: str
    reason: str


class RenewalRequested(PaymentMessage):
    """The authorization `transaction_id` expired before the capture: payments authorizes `amount` anew, once."""

    type: ClassVar[str] = "zerocart.payments.renewal.requested.v1"
    transaction_id: str
    amount: Money


class RenewalRefused(PaymentMessage):
    """The provider did not renew the expired authorization, so that the order is not paid: fulfillment gives it up."""

    type: ClassVar[str] = "zerocart.payments.renewal.refused.v1"
    transaction_id: str
    amount: Money
    error_code: str
    error: str


class RefundRequested(PaymentMessage):
    """Staff requested a refund of `amount`: payments asks the provider, and ProviderUpdated tells how it goes on.

    `lines` and `shipping` are what the amount is for, if staff named them. A refund that is larger than what is left of
    each charge is requested as several, one for each charge: their ids are the first one's with `-2`, `-3` and so on.
    """

    type: ClassVar[str] = "zerocart.payments.refund.requested.v1"
    refund_id: str
    transaction_id: str
    amount: Money
    reason: str
    lines: tuple[RefundedLine, ...] = ()
    shipping: Money | None = None


class RestockRequested(PaymentMessage):
    """The provider accepted a refund of goods that staff took back, so that inventory adds them to the stock.

    `items` has the units that staff took back by all accepted refunds of the order until now, and counts none twice.
    """

    type: ClassVar[str] = "zerocart.payments.restock.requested.v1"
    refund_id: str
    items: tuple[ReservedItem, ...]


class RefundRefused(PaymentMessage):
    """The provider refused a refund that staff requested; no money moved."""

    type: ClassVar[str] = "zerocart.payments.refund.refused.v1"
    refund_id: str
    amount: Money
    error_code: str
    error: str


class SurchargeRequested(PaymentMessage):
    """An edit adds `amount` to the total: payments charges it to the card of `transaction_id`.

    The order has `units` after the edit. SurchargePaid or SurchargeRefused follows, or SurchargeUndone.
    """

    type: ClassVar[str] = "zerocart.payments.surcharge.requested.v1"
    edit_id: str
    transaction_id: str
    amount: Money
    units: int


class SurchargePaid(PaymentMessage):
    """The provider charged what an edit adds, by a transaction of its own: shipping changes the parcels now."""

    type: ClassVar[str] = "zerocart.payments.surcharge.paid.v1"
    edit_id: str
    transaction_id: str
    amount: Money
    units: int


class SurchargeRefused(PaymentMessage):
    """The provider or payments refused to charge what an edit adds: the edit is refused, and no money moved."""

    type: ClassVar[str] = "zerocart.payments.surcharge.refused.v1"
    edit_id: str
    error_code: str
    error: str


class SurchargeUndone(PaymentMessage):
    """The edit was refused for another reason: nothing is charged for it any more, and what was charged goes back."""

    type: ClassVar[str] = "zerocart.payments.surcharge.undone.v1"
    edit_id: str


ReportedChange = Literal[
    "authorized", "captured", "canceled", "expired", "refunded", "partly_refunded",
    "refund_pending", "refund_succeeded", "refund_failed", "inquiry", "disputed", "dispute_won", "dispute_lost",
]  # fmt: skip
"""The changes of a payment that ProviderReported and ProviderUpdated report."""
