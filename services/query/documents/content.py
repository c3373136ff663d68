"""What an invoice and a packing slip say: texts made of the answer of `GET /orders/{order_id}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any, cast

from services.kit.domain.currencies import rounded
from services.query.documents.words import Words
from services.query.settings import ShopIdentity
from services.read_model.order_answers import Order

__all__ = ["Content", "invoice", "packing_slip"]

Content = Mapping[str, Any]
Row = Mapping[str, Any]
Pairs = list[tuple[str, str]]
ZERO = Decimal(0)
INVOICED = frozenset({"confirmed", "partially_shipped", "shipped", "delivered", "returned"})
ENDED = frozenset({"cancelling", "cancelled", "failed"})


@dataclass(frozen=True, slots=True)
class Paper:
    """The parts that all documents of a shop have in common."""

    shop: ShopIdentity
    words: Words
    zone: tzinfo

    def of(self, order: Row, title: str, facts: Pairs) -> dict[str, Any]:
        """The parts of a document that invoices and packing slips share."""
        number = order["number"] or order["order_id"]
        first = [(self.words["number"], number), (self.words["date"], self.words.day(order["created_at"], self.zone))]
        return {
            "title": f"{title} {number}",
            "language": self.words.language,
            "shop": {"name": self.shop.name, "address": self.shop.address, "tax_id": self.shop.tax_id},
            "facts": [pair for pair in [*first, *facts] if pair[1]],
            "words": self.words.by_key,
        }


def invoice(order: Order, shop: ShopIdentity, words: Words, zone: tzinfo) -> Content:
    """The content of an invoice; before the order is confirmed, of a pro forma invoice."""
    row, paper = cast("Row", order), Paper(shop, words, zone)
    currency = row["total"]["currency"]
    facts = [
        (words["status"], words[f"status_{row['status']}"] if f"status_{row['status']}" in words.by_key else ""),
        (words["purchase_order_number"], row["purchase_order_number"] or ""),
        (words["currency"], currency),
    ]
    return {
        **paper.of(row, words[_title(row["status"])], facts),
        "billing": _address(row["billing_address"] or row["shipping_address"], row, words),
        "shipping": _address(row["shipping_address"], row, words),
        "lines": [_line(line, currency, words) for line in row["items"]],
        "totals": [(name, words.amount(amount, currency)) for name, amount in _totals(row, words, zone)],
        "taxes": [
            (f"{words.number(rate)} %", words.amount(net, currency), words.amount(tax, currency))
            for rate, (net, tax) in _by_rate(row).items()
        ],
    }


def packing_slip(order: Order, shop: ShopIdentity, words: Words, zone: tzinfo) -> Content:
    """The content of a packing slip: what to put into the parcel and where it goes, without prices."""
    row = cast("Row", order)
    facts = [
        (words["shipping_method"], row["shipping_method"] or ""),
        (words["priority"], words[f"priority_{row['priority']}"]),
        (words["tracking_number"], row["tracking_number"] or ""),
        (words["email"], row["email"] or ""),
    ]
    return {
        **Paper(shop, words, zone).of(row, words["packing_slip"], facts),
        "shipping": _address(row["shipping_address"], row, words),
        "lines": [(line["product_id"], line["product_name"], str(line["quantity"])) for line in row["items"]],
        "units": str(sum(line["quantity"] for line in row["items"])),
        "notes": row["notes"] or "",
    }


def _title(status: str) -> str:
    return "invoice" if status in INVOICED else "cancelled_order" if status in ENDED else "pro_forma"


def _address(address: Mapping[str, str] | None, row: Row, words: Words) -> Sequence[str]:
    """The lines of an address; old orders have stored only city and country of it."""
    if address is None:
        known = [row["customer_name"], row["city"], row["country"]]
        return [each for each in known if each] if row["customer_name"] else [words["erased"]]
    part = {name: address.get(name) or "" for name in ("name", "line1", "line2", "postal_code", "city", "region")}
    town = f"{part['postal_code']} {part['city']}".strip()
    lines = [part["name"], part["line1"], part["line2"], town, part["region"], address["country"]]
    return [line for line in lines if line]


def _line(line: Row, currency: str, words: Words) -> Sequence[str]:
    """The cells of a line: number, product, quantity, unit price, discount, tax rate, tax, total."""
    total = _money(line["total"])
    if total is None:  # an old order: its lines have no amounts
        total = rounded(Decimal(line["unit_price"]["amount"]) * line["quantity"], currency)
    discount, tax, rate = _money(line["discount"]), _money(line["tax"]), line["tax_rate"]
    return (
        str(line["line"]),
        line["product_id"],
        line["product_name"],
        str(line["quantity"]),
        words.amount(Decimal(line["unit_price"]["amount"]), currency),
        words.amount(discount, currency) if discount else "",
        f"{words.number(rate)} %" if rate is not None and (tax or rate != "0") else "",
        words.amount(tax, currency) if tax else "",
        words.amount(total, currency),
    )


def _totals(row: Row, words: Words, zone: tzinfo) -> Iterable[tuple[str, Decimal]]:
    amount = {name: _money(row[name]) or ZERO for name in ("subtotal", "discount_total", "shipping_total", "tax_total")}
    total, refunded = Decimal(row["total"]["amount"]), _money(row["refunded"]) or ZERO
    if row["subtotal"] is not None:
        yield words["subtotal"], amount["subtotal"]
    if amount["discount_total"]:
        yield words["discount"], -amount["discount_total"]
    if amount["shipping_total"]:
        yield words["shipping"], amount["shipping_total"]
    if amount["tax_total"] and not row["tax_included"]:
        yield words["tax"], amount["tax_total"]
    yield words["total"], total
    if amount["tax_total"] and row["tax_included"]:
        yield words["tax_included"], amount["tax_total"]
    if refunded:
        yield from _refunds(row, refunded, words, zone)
        yield words["remaining"], total - refunded


def _refunds(row: Row, refunded: Decimal, words: Words, zone: tzinfo) -> Iterable[tuple[str, Decimal]]:
    """Each refund with its day, and the rest of `refunded`, of which no day is known."""
    rest = refunded
    for refund in row["refunds"]:
        amount = Decimal(refund["amount"]["amount"])
        yield f"{words['refunded']}, {words.day(refund['refunded_at'], zone)}", -amount
        rest -= amount
    if rest > 0:
        yield words["refunded"], -rest


def _by_rate(row: Row) -> Mapping[str, tuple[Decimal, Decimal]]:
    """The net amount and the tax of each tax rate, shipping included; nothing if the order has no tax."""
    shares = [(line["tax_rate"], _money(line["total"]), _money(line["tax"])) for line in row["items"]]
    shipping, tax = _money(row["shipping_total"]), _money(row["shipping_tax"])
    if shipping and tax is not None:
        shares.append((row["shipping_tax_rate"], shipping if row["tax_included"] else shipping + tax, tax))
    found: dict[str, tuple[Decimal, Decimal]] = {}
    for rate, gross, tax in shares:
        if rate is not None and gross is not None and tax is not None:
            net, taxes = found.get(rate, (ZERO, ZERO))
            found[rate] = (net + gross - tax, taxes + tax)
    has_tax = any(tax for _, tax in found.values())
    return dict(sorted(found.items(), key=lambda each: Decimal(each[0]))) if has_tax else {}


def _money(shown: Mapping[str, str] | None) -> Decimal | None:
    return None if shown is None else Decimal(shown["amount"])
