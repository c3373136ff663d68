"""Parses rows by a mapping: a row as a line of an order, the first row as the order itself."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping as Table
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from pydantic import TypeAdapter, ValidationError

from services.kit.domain.currencies import MINOR_DIGITS, rounded
from services.kit.domain.message import Email
from tools.importer.amounts import charged, first_filled, placed
from tools.importer.mapping import End, Mapping
from tools.importer.order_fields import more_of
from tools.importer.records import (
    Customer,
    Line,
    LineRefusal,
    Note,
    Order,
    OrderRefusal,
    Place,
    Remark,
)
from tools.importer.rows import Row
from tools.importer.templates import TEXT_CHARS_MAX, country_code, filled, plain

__all__ = ["LINES_MAX", "ParsedOrder", "RowParser"]

LINES_MAX = 2_000
"""The limit of the orders service."""
QUANTITY_MAX = 1_000_000
PRICE_DECIMALS_MAX = 6
PERCENT_DECIMALS_MAX = 4
DIGITS_MAX = 18
"""Digits of a number: a longer one is neither a quantity nor a price, and would make arithmetic slow."""
POSTAL_CODE_CHARS_MAX = 20
NO_DESCRIPTION = "(no description)"
PRODUCT_ID = re.compile(r"[!-$&-~]([ -$&-~]{0,62}[!-$&-~])?")
CUSTOMER_ID = re.compile(r"[A-Za-z0-9_\-]{1,60}")
ID_DIGITS = 32
"""Of the hash that stands for a customer."""
NUMBER_CHARS_MAX = 100
EMAIL = TypeAdapter[str](Email)
FINEST = Decimal(1).scaleb(-PRICE_DECIMALS_MAX)
GROUPED = {
    mark: re.compile(rf"[+-]?[0-9]{{1,3}}(?:[{others}][0-9]{{2,3}})*[{others}][0-9]{{3}}({re.escape(mark)}[0-9]*)?")
    for mark, others in ((".", r",'’ \xa0\u202f"), (",", r".'’ \xa0\u202f"))
}
"""Numbers with grouped thousands (or lakhs), by decimal mark. Anything else is refused: with a decimal comma, `12.50`
must not become 1250."""
AROUND_NUMBERS = " \t\xa0\u202f$¢£¤¥" + "".join(map(chr, range(0x20A0, 0x20D0)))
"""Blanks and currency signs."""
PARCELS: Sequence[End] = ("cancelled", "confirmed", "dispatched", "delivered")


@dataclass(frozen=True, slots=True)
class ParsedOrder:
    """An order or the reason why it is none, and notes about it."""

    order: Order | OrderRefusal
    detail: str = ""
    """Belongs to the reason."""
    notes: tuple[Remark, ...] = ()


class RowParser:
    """Parses the rows of files of one mapping; `finished` orders keep all amounts of the file."""

    def __init__(self, mapping: Mapping, *, finished: bool = False) -> None:
        self._mapping = mapping
        self._finished = finished
        self._products = mapping.products

    def customer_id(self, row: Row) -> str:
        """The id of the customer; empty for a guest."""
        customers = self._mapping.customers
        said = row.values[customers.id].strip().removesuffix(customers.id_suffix) if customers.id else ""
        if customers.id_key is None or not said:
            return said
        return hmac.new(customers.id_key.encode(), said.lower().encode(), "sha256").hexdigest()[:ID_DIGITS]

    def product(self, row: Row) -> str:
        """The code of the product: the first of its columns that is filled."""
        return next(filter(None, (row.values.get(column, "").strip() for column in self._products)), "")

    def is_goods(self, product_id: str) -> bool:
        """Whether a product code means goods that have a stock level."""
        goods = self._mapping.lines.goods
        return bool(PRODUCT_ID.fullmatch(product_id) and (goods is None or goods.fullmatch(product_id)))

    def units(self, row: Row) -> int | None:
        """The quantity; None if it is not a whole number."""
        return _whole(self._figures(row)[0])

    def value(self, row: Row) -> Decimal | None:
        """The price of all units after the discount; None if a number cannot be read."""
        quantity, said, off = self._figures(row)
        if quantity is None or said is None or off is None:
            return None
        gross = said if self._mapping.lines.line_total else said * quantity
        if self._mapping.lines.discount_is == "share":
            return gross * (1 - abs(off))
        return gross - abs(off).copy_sign(gross)  # some files write a discount as -5.00

    def _figures(self, row: Row) -> tuple[Decimal | None, Decimal | None, Decimal | None]:
        """Quantity, price (of a unit or of all, as the mapping says) and discount; None for what cannot be read."""
        lines = self._mapping.lines
        said = row.values.get(lines.unit_price or lines.line_total or "", "")
        off = self.number(row.values.get(lines.discount, "").strip() or "0") if lines.discount else Decimal(0)
        units = Decimal(1) if lines.quantity is None else self.number(row.values.get(lines.quantity, ""))
        return units, self.number(said), off

    def line(self, row: Row) -> Line | LineRefusal:
        """A line of an order, or the reason why it is none."""
        lines = self._mapping.lines
        product_id = self.product(row)
        number, said, off = self._figures(row)
        quantity = _whole(number)
        if quantity is None or said is None or off is None:
            return LineRefusal.UNREADABLE
        total, more = None, dict[str, Decimal]()
        if quantity and (off or lines.line_total) and (total := self.value(row)) is not None:
            more = self._off(said, off, self.currency([row]))
            whole = total if not more else said if lines.line_total else said * quantity
            said = (whole / quantity).quantize(FINEST, ROUND_HALF_UP)
        if refusal := self._line_refusal(product_id, quantity, said):
            return refusal
        if (tax := self._tax(row) if self._finished else {}) is None:
            return LineRefusal.UNREADABLE
        more |= tax
        name = plain(row.values[lines.product_name]) if lines.product_name else product_id
        return Line(product_id, name or NO_DESCRIPTION, quantity, said, total, **more)

    def _off(self, said: Decimal, off: Decimal, currency: str) -> dict[str, Decimal]:
        """The discount as a finished order holds it; empty if it has to be in the unit price."""
        if not self._finished or not off or said < 0:
            return {}
        if self._mapping.lines.discount_is == "share":
            percent = abs(off) * 100
            return {"off_percent": percent} if percent == round(percent, PERCENT_DECIMALS_MAX) else {}
        return {"off": abs(off)} if rounded(off, currency) == off else {}

    def _tax(self, row: Row) -> dict[str, Decimal] | None:
        """The tax of a line by the name of its field; None if it cannot be read."""
        lines = self._mapping.lines
        if column := lines.tax or lines.tax_rate:
            number = self.number(row.values.get(column, "").strip() or "0")
            if number is None:
                return None
            if lines.tax_rate:
                return {"tax_rate": round(abs(number), PERCENT_DECIMALS_MAX)}
            return {"tax": rounded(abs(number), self.currency([row]))}
        return {}

    def currency(self, rows: Sequence[Row]) -> str:
        """The currency of an order; several, joined, if its lines have several."""
        column = self._mapping.lines.currency
        found = dict.fromkeys(row.values.get(column, "").strip() for row in rows) if column else {}
        return ", ".join(filter(None, found)) or self._mapping.currency

    def is_cancelled(self, row: Row) -> bool:
        """Whether the state of its shipment cancels the line."""
        shipments = self._mapping.shipments
        return shipments is not None and shipments.becomes.get(row.values[shipments.column].strip()) == "cancelled"

    def numbers(self, row: Row) -> str:
        """The fields of a line's numbers as they are in the file, for the report."""
        lines = self._mapping.lines
        taxes = (lines.tax, lines.tax_rate) if self._finished else ()
        columns = filter(None, (lines.quantity, lines.unit_price, lines.line_total, lines.discount, *taxes))
        return ", ".join(f"{column} {row.values[column]!r}" for column in columns)

    def order(self, invoice: str, rows: Sequence[Row], at: datetime, lines: tuple[Line, ...]) -> ParsedOrder:
        """The order of an invoice; customer and address come from its first row."""
        mapping, row = self._mapping, rows[0]
        customer = self.customer_id(row)
        known = {**row.values, **self._parts(row), "customer": customer, "order": invoice}
        said, email = filled(mapping.customers.email, known), filled(mapping.customers.email, known, _is_email)
        name = filled(mapping.customers.name, known)[:TEXT_CHARS_MAX] or (customer and f"Customer {customer}")
        place, currency = self._place(known), self.currency(rows)
        if not lines:
            return ParsedOrder(OrderRefusal.NO_LINES)
        if len(lines) > LINES_MAX:
            return ParsedOrder(OrderRefusal.TOO_MANY_LINES, str(len(lines)))
        if not (CUSTOMER_ID.fullmatch(customer) if customer else email):
            return ParsedOrder(OrderRefusal.CUSTOMER, customer or said)
        if not place.country:
            return ParsedOrder(OrderRefusal.COUNTRY, known.get(mapping.address.country or "", "").strip())
        if currency not in MINOR_DIGITS:
            return ParsedOrder(OrderRefusal.CURRENCY, currency)
        if not place.line1 or not place.city:
            return ParsedOrder(OrderRefusal.ADDRESS)
        becomes, note, detail = self._becomes(rows)
        if becomes is None:
            return ParsedOrder(OrderRefusal.STATE, detail)
        order = Order(
            invoice,
            row.line,
            at,
            Customer(customer, name or "Guest", email),
            place,
            currency,
            lines,
            becomes,
            tracking_number=first_filled(mapping.lines.tracking_number, rows)[:NUMBER_CHARS_MAX],
            notes=filled(mapping.lines.notes, known),
            more=more_of(mapping, known) if self._finished else {},
        )
        if not order.total:
            return ParsedOrder(OrderRefusal.NOTHING_TO_PAY)
        notes = [Remark(note, detail)] if note else []
        if said != email:
            notes.append(Remark(Note.EMAIL, said))
        kept = [each for each in rows if not self.is_cancelled(each)] or rows
        order, of_amounts = (charged if self._finished else placed)(order, mapping, kept, self.number)
        if not order.total:
            return ParsedOrder(OrderRefusal.NOTHING_TO_PAY)
        if (total := rounded(order.exact, currency)) != order.goods:
            notes.append(Remark(Note.TOTAL, f"{total:f} in the file, {order.goods:f} here"))
        return ParsedOrder(order, notes=(*notes, *of_amounts))

    def number(self, text: str) -> Decimal | None:
        """A number of the file; None if it is none."""
        plain = _decimal(text) if self._mapping.decimal_mark == "." else None  # most are, and it is the shortest way
        number = plain if plain is not None else _decimal(self._bare(text))
        if number is None or not number.is_finite():
            return None
        return number if number.adjusted() < DIGITS_MAX and len(number.as_tuple().digits) <= DIGITS_MAX else None

    def _bare(self, text: str) -> str:
        """A number as Python writes it, without currency signs and grouping; empty if it is none."""
        code, mark = self._mapping.currency, self._mapping.decimal_mark
        bare = text.strip(AROUND_NUMBERS).removeprefix(code).removesuffix(code).strip(AROUND_NUMBERS)
        if GROUPED[mark].fullmatch(bare):
            bare = "".join(char for char in bare if char in f"+-{mark}" or char.isdigit())
        return "" if mark != "." and "." in bare else bare.replace(mark, ".")

    def _line_refusal(self, product_id: str, quantity: int, price: Decimal) -> LineRefusal | None:
        if not PRODUCT_ID.fullmatch(product_id):
            return LineRefusal.NO_CODE
        if not self.is_goods(product_id):
            return LineRefusal.NOT_GOODS
        if not 1 <= quantity <= QUANTITY_MAX:
            return LineRefusal.QUANTITY
        if price == 0 and not self._mapping.lines.gifts:
            return LineRefusal.PRICE_ZERO
        if price < 0:
            return LineRefusal.PRICE_NEGATIVE
        return None if price == round(price, PRICE_DECIMALS_MAX) else LineRefusal.PRICE_FINE

    def _parts(self, row: Row) -> Table[str, str]:
        parts = self._mapping.address.parts
        found = parts and parts.pattern.fullmatch(row.values[parts.column].strip())
        return {name: value or "" for name, value in found.groupdict().items()} if found else {}

    def _place(self, known: Table[str, str]) -> Place:
        address = self._mapping.address
        country = known[address.country].strip() if address.country else ""
        return Place(
            filled(address.line1, known)[:TEXT_CHARS_MAX],
            filled(address.city, known)[:TEXT_CHARS_MAX],
            filled(address.region, known)[:TEXT_CHARS_MAX],
            filled(address.postal_code, known)[:POSTAL_CODE_CHARS_MAX],
            country_code(country, address.countries, address.default_country),
        )

    def _becomes(self, rows: Sequence[Row]) -> tuple[End | None, Note | None, str]:
        """The state that the order is to reach (None if the mapping has none), a note, and the words of the file."""
        states, shipments = self._mapping.states, self._mapping.shipments
        state = rows[0].values[states.column].strip() if states and states.column else ""
        end: End | None = (states.all or states.becomes.get(state)) if states else "confirmed"
        if shipments is None or end is None:
            return end, None, state
        left = [row for row in rows if not self.is_cancelled(row)] or rows
        words = sorted({row.values[shipments.column].strip() for row in left})
        said = ", ".join(filter(None, (state, *words)))
        if any(word and word not in shipments.becomes for word in words):
            return end, Note.TRACKING, said
        sent = [shipments.becomes[word] if word else "confirmed" for word in words]
        least = PARCELS[min(map(PARCELS.index, sent))]  # the least advanced parcel decides
        if end == "confirmed":
            return least, None, said
        return end, Note.GIVEN_BACK if least in ("dispatched", "delivered") else None, said


def _whole(number: Decimal | None) -> int | None:
    return int(number) if number is not None and number == number.to_integral_value() else None


def _decimal(text: str) -> Decimal | None:
    try:
        return None if "_" in text else Decimal(text)  # Python reads 12_50 as 1250
    except InvalidOperation:
        return None


def _is_email(text: str) -> bool:
    try:
        EMAIL.validate_python(text)
    except ValidationError:
        return False
    return True
