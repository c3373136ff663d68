"""The amounts of an order beside the prices of its lines: those in the file, and the totals that follow from them.

An order that was finished elsewhere keeps them. An order that is placed here gets those of the shop, so that the
amounts of the file are only checked and reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from services.kit.domain.currencies import rounded
from services.orders.totals import Off, PricedLine, Pricing, Totals, totals_of
from tools.importer.mapping import AmountColumns
from tools.importer.mapping import Mapping as Meaning
from tools.importer.records import (
    NO_CHARGES,
    Amount,
    CancellationRefusal,
    Charges,
    Line,
    Note,
    Order,
    Remark,
    Sums,
)
from tools.importer.rows import Row

__all__ = ["charged", "checked", "first_filled", "placed"]

ZERO = Decimal(0)
HELD = ("discount", "shipping", "shipping_tax", "tax", "refunded")
"""The names in `[amounts]` of what an order can hold."""
Number = Callable[[str], Decimal | None]
Found = tuple[Order, Sequence[Remark]]


def charged(order: Order, meaning: Meaning, rows: Sequence[Row], number: Number) -> Found:
    """The finished order with the amounts of the file; all refunded, it is cancelled."""
    amounts, notes = _amounts(meaning, rows, number)
    notes += [_unheld(name, money, order) for name, money in amounts.items() if name not in HELD]
    check, whole = _check_total(meaning, rows, number)
    order = _with_charges(order, {name: rounded(money, order.currency) for name, money in amounts.items()}, meaning)
    if meaning.tax_included is None and whole is not None and order.total != rounded(whole, order.currency):
        included = _summed(order, replace(order.charges, tax_included=True))
        order = included if included.total == rounded(whole, order.currency) else order
    if check and whole is None:
        notes.append(Remark(Note.CHECK_TOTAL, f"{check!r} cannot be read"))
    elif whole is not None and order.total != rounded(whole, order.currency):
        detail = f"{whole:f} in the file, {order.total:f} here"
        notes.append(Remark(Note.CHECK_TOTAL, detail, Amount(whole - order.total, order.currency)))
    if order.charges.refunded and order.charges.refunded >= order.total:
        all_of_it = replace(order.charges, refunded=order.total)
        order = replace(order, becomes="cancelled", charges=all_of_it)
    return order, notes


def placed(order: Order, meaning: Meaning, rows: Sequence[Row], number: Number) -> Found:
    """The order, which gets the amounts of the shop, with notes about those of the file.

    If all of it is refunded, it is cancelled.
    """
    amounts, notes = _amounts(meaning, rows, number)
    check, whole = _check_total(meaning, rows, number)
    if check:
        notes += checked(order, check, whole, amounts)
    refunded = amounts.pop("refunded", ZERO)
    notes += [_unheld(name, money, order) for name, money in amounts.items()]
    if refunded and refunded >= (order.total if whole is None else whole):
        order = replace(order, becomes="cancelled")
    elif refunded:
        notes.append(Remark(CancellationRefusal.PARTIAL, "refunded", Amount(refunded, order.currency)))
    return order, notes


def checked(order: Order, text: str, whole: Decimal | None, amounts: Mapping[str, Decimal]) -> Sequence[Remark]:
    """A note if the file says another total, with or without the amounts that the order does not hold."""
    if whole is None:
        return [Remark(Note.CHECK_TOTAL, f"{text!r} cannot be read")]
    more = {name: -money if "discount" in name else money for name, money in amounts.items() if name != "refunded"}
    on_top = sum(more.values(), order.total)
    included = sum((money for name, money in more.items() if "tax" not in name), order.total)
    if rounded(whole, order.currency) in (on_top, included, order.total):
        return []
    beside = f", {on_top:f} with {', '.join(more)}" if more else ""
    detail = f"{whole:f} in the file, {order.total:f} here{beside}"
    return [Remark(Note.CHECK_TOTAL, detail, Amount(whole - order.total, order.currency))]


def first_filled(column: str | None, rows: Sequence[Row]) -> str:
    """The first filled field of a column; empty without one."""
    texts = (row.values.get(column, "").strip() for row in rows) if column else ()
    return next(filter(None, texts), "")


def _amounts(meaning: Meaning, rows: Sequence[Row], number: Number) -> tuple[dict[str, Decimal], list[Remark]]:
    """The amounts by name without those that are zero, and notes about what cannot be read."""
    amounts, notes = dict[str, Decimal](), list[Remark]()
    for name, of in meaning.amounts.items():
        columns = of if isinstance(of, AmountColumns) else AmountColumns(column=of)
        money = ZERO
        for sign, text in _texts(columns, rows):
            if (found := number(text)) is None:
                notes.append(Remark(Note.UNHELD, f"{name} {text!r} cannot be read"))
            else:
                money += sign * abs(found)
        if money:
            amounts[name] = money
    return amounts, notes


def _texts(columns: AmountColumns, rows: Sequence[Row]) -> Iterator[tuple[int, str]]:
    """The filled fields that count, of each line or the first of the order, with the sign of their column."""
    for column, sign in ((columns.column, 1), (columns.less, -1)):
        if columns.each_line:
            texts = [row.values.get(column or "", "").strip() for row in rows]
        else:
            texts = [first_filled(column, rows)]
        yield from ((sign, text) for text in texts if text)


def _check_total(meaning: Meaning, rows: Sequence[Row], number: Number) -> tuple[str, Decimal | None]:
    text = first_filled(meaning.lines.check_total, rows)
    return text, number(text) if text else None


def _unheld(name: str, money: Decimal, order: Order) -> Remark:
    return Remark(Note.UNHELD, name, Amount(money, order.currency))


def _with_charges(order: Order, amounts: Mapping[str, Decimal], meaning: Meaning) -> Order:
    held = {name: money for name, money in amounts.items() if name in HELD}
    charges = Charges(**held, tax_included=bool(meaning.tax_included))
    if charges == NO_CHARGES and not any(map(_has_own_amounts, order.lines)):
        return order
    return _summed(order, charges)


def _has_own_amounts(line: Line) -> bool:
    return bool(line.off or line.off_percent or line.tax or line.tax_rate)


def _summed(order: Order, charges: Charges) -> Order:
    """The order with these charges and its sums, by the rules of orders."""
    pricing = Pricing(
        lines=[
            PricedLine(line.unit_price, line.quantity, Off(line.off, line.off_percent), line.tax_rate or ZERO, line.tax)
            for line in order.lines
        ],
        currency=order.currency,
        offs=[Off(charges.discount)] if charges.discount else [],
        shipping=charges.shipping,
        shipping_tax=charges.shipping_tax,
        tax=charges.tax,
        tax_included=charges.tax_included,
    )
    totals, goods = totals_of(pricing), totals_of(replace(pricing, offs=()))
    return replace(order, charges=charges, sums=_sums(totals, goods.subtotal - goods.discount_total))


def _sums(totals: Totals, goods: Decimal) -> Sums:
    return Sums(goods, totals.total, totals.discount_total, totals.shipping_total, totals.tax_total)
