"""The rules of orders that another system fulfilled: import, correct, and take back."""

from __future__ import annotations

from hashlib import sha256

from services.contracts.orders import (
    ImportedFields,
    OrderImportCorrected,
    OrderImported,
    OrderImportUndone,
    PricedFields,
)
from services.kit.domain.decider import Decision, Rejected
from services.kit.domain.message import Money
from services.kit.privacy.encryption import erased
from services.orders.content import placed_in_future, with_content
from services.orders.order import Import, Imported, NoOrder, Order, UndoImport
from services.orders.pricing import price

__all__ = ["fingerprint_of", "import_finished", "undo_import"]


def import_finished(command: Import, order: Order) -> Decision:
    """Record an order that another system fulfilled, once; another order of its number has to be a correction."""
    fields = command.fields
    priced = price(command.basket, {}, command.at)
    if isinstance(priced, Rejected):
        return priced
    problem = (
        _total_problem(priced, command.basket.expected_total)
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
    total = priced.total
    detail = f"The items come to {total.amount} {total.currency}. Leave out `total` or send this amount."
    return Rejected("total-mismatch", detail, field="total")


def _status_problem(fields: ImportedFields) -> Rejected | None:
    if (fields.reason is None) == (fields.status == "cancelled"):
        detail = "A cancelled order needs `reason`; an order with another status must not have one."
        return Rejected("reason-mismatch", detail, field="reason")
    if fields.tracking_number is not None and fields.status not in ("shipped", "delivered"):
        detail = "Only a shipped or delivered order can have `tracking_number`."
        return Rejected("not-shipped", detail, field="tracking_number")
    return None


def fingerprint_of(event: OrderImported) -> str:
    """A hash of the whole content, in which 2.5 and 2.50 are the same price; a correction hashes as an import does."""
    lines = tuple(line.model_copy(update={"unit_price": line.unit_price.normalize()}) for line in event.lines)
    return sha256(event.model_copy(update={"lines": lines}).write().encode()).hexdigest()
