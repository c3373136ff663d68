"""The rules of orders that another system fulfilled: import, correct, and take back."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TypeVar

from services.contracts.orders import (
    Discount,
    ImportedFields,
    OrderImportCorrected,
    OrderImported,
    OrderImportUndone,
    PricedFields,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Money, Value
from services.kit.privacy.encryption import erased
from services.orders.order import Import, Imported, NoOrder, Order, UndoImport
from services.orders.placing import with_content
from services.orders.pricing import price
from services.orders.refusals import placed_in_future

__all__ = ["fingerprint_of", "import_finished", "undo_import"]


V = TypeVar("V", bound=Value)


def import_finished(command: Import, order: Order) -> Decision:
    """Record an order that another system fulfilled, once; another order of its number has to be a correction."""
    fields = command.fields
    priced = price(command.basket, {}, command.at)
    if isinstance(priced, Rejected):
        return priced
    problem = (
        _total_problem(priced, command.basket.expected_total)
        or _amounts_problem(priced, fields)
        or placed_in_future(fields.placed_at, command.at)
        or _status_problem(fields)
    )
    if problem:
        return problem
    imported = with_content(OrderImported, command, priced, source=command.source)
    match order:
        case NoOrder():
            return [imported]
        case Imported(fingerprint=known) if known in (fingerprint_of(imported), fingerprint_of(erased(imported))):
            return []
        case Imported() if command.corrects:
            return [with_content(OrderImportCorrected, command, priced, source=command.source)]
        case _:
            detail = (
                f"Order {fields.number} of {command.source} was imported before with other content. Nothing changed. "
                "Send it with `correct: true` to replace that content."
            )
            return Rejected("import-differs", detail)


def undo_import(command: UndoImport, order: Order) -> Decision:
    """Take the import of an order back, so that it can be imported again."""
    match order:
        case NoOrder():
            return []
        case Imported(source=source, customer_id=customer_id):
            return [OrderImportUndone(order_id=command.order_id, source=source, customer_id=customer_id)]
        case _:
            return Rejected("order-not-imported", f"Order {command.order_id} was placed here. Cancel it instead.")


def _total_problem(priced: PricedFields, expected: Money | None) -> Rejected | None:
    if expected in (None, priced.total):
        return None
    total, said = priced.total, f"{expected.amount} {expected.currency}" if expected else ""
    detail = (
        f"The order comes to {total.amount} {total.currency}, and its total says {said}. Correct its prices, "
        "discounts, shipping cost or taxes, or leave out `total`."
    )
    return Rejected("total-mismatch", detail, field="total")


def _amounts_problem(priced: PricedFields, fields: ImportedFields) -> Rejected | None:
    """Why amounts that the other system names cannot be: tax above the price, or a refund above the total."""
    taxes = [(line.tax or 0, line.total or 0, f"items.{place}.tax") for place, line in enumerate(priced.lines)]
    if priced.tax_included:
        taxes.append((priced.shipping_tax, priced.shipping_total, "shipping_tax"))
    for tax, whole, field in taxes:
        if tax > whole:
            return Rejected("tax-too-large", f"The tax {tax} is more than the {whole} that contain it.", field=field)
    if fields.refunded is not None and fields.refunded.amount > priced.total.amount:
        detail = f"The refund {fields.refunded.amount} exceeds the total {priced.total.amount} {priced.total.currency}."
        return Rejected("refunded-too-large", detail, field="refunded")
    return None


def _status_problem(fields: ImportedFields) -> Rejected | None:
    if (fields.reason is None) == (fields.status == "cancelled"):
        detail = "A cancelled order needs `reason`; an order with another status must not have one."
        return Rejected("reason-mismatch", detail, field="reason")
    if fields.tracking_number is not None and fields.status not in ("shipped", "delivered"):
        detail = "Only a shipped or delivered order can have `tracking_number`."
        return Rejected("not-shipped", detail, field="tracking_number")
    return None


def fingerprint_of(event: OrderImported) -> str:
    """A hash of the whole content, in which 2.5 and 2.50 are the same amount; a correction hashes as an import does."""
    exact = {"lines": tuple(_exact(line) for line in event.lines), "discounts": tuple(map(_exact, event.discounts))}
    refunded = event.refunded and _exact(event.refunded)
    rate = event.shipping_tax_rate.normalize()
    hashed = event.model_copy(update={**exact, "refunded": refunded, "shipping_tax_rate": rate})
    return sha256(hashed.write().encode()).hexdigest()


def _exact(value: V) -> V:
    """The value with its amounts written in one way."""
    amounts = {name: each.normalize() for name, each in value if isinstance(each, Decimal)}
    discounts = {name: _exact(each) for name, each in value if isinstance(each, Discount)}
    return value.model_copy(update={**amounts, **discounts})
