"""Products in CSV (RFC 4180): one line for each price; the first line of a product also has its other fields."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.kit.domain.errors import FieldError, Invalid, Unreadable

__all__ = ["COLUMNS", "METADATA", "Given", "products_in"]

PRICE_COLUMNS = ("currency", "amount", "valid_from", "valid_until", "compare_at")
FIELD_COLUMNS = ("name", "description", "active", "tax_class", "weight_grams", "backorder")
COLUMNS = ("sku", *FIELD_COLUMNS, *PRICE_COLUMNS)
METADATA = "metadata."
"""The column `metadata.supplier` has the text `supplier` of the metadata."""

Cells = Mapping[str, str]


@dataclass(slots=True)
class Given:
    """A product as an upload has it, and the line or the number of the element at which it begins."""

    line: int
    content: dict[str, Any]
    cells: Cells = field(default_factory=dict[str, str])
    problem: Invalid | None = None

    def refuse(self, place: str, detail: str) -> None:
        """Refuse the product, unless it is refused already."""
        self.problem = self.problem or Invalid(
            "invalid", "Some fields are not valid: `errors` names them.", (FieldError(place, "invalid", detail),)
        )


def products_in(body: bytes) -> list[Given]:
    """The products of a file, each with its prices; Unreadable or Invalid if the file cannot be read."""
    found: dict[str, Given] = {}
    for line, cells, is_whole in _rows(body):
        sku = cells.get("sku", "")
        known = found.get(sku)
        if known is None:
            found[sku] = known = Given(line, _fields(cells), cells)
        elif differing := [name for name in cells if name not in PRICE_COLUMNS and _differs(name, cells, known.cells)]:
            known.refuse(differing[0], f"Line {line} has another {differing[0]} than line {known.line}.")
        if price := {name: cells[name] for name in PRICE_COLUMNS if cells.get(name)}:
            known.content["prices"].append(price)
        if not is_whole:
            known.refuse("body", f"Line {line} has another number of cells than the header.")
    return list(found.values())


def _rows(body: bytes) -> Iterator[tuple[int, Cells, bool]]:
    """Return the rows that are not empty: the first line of each, and whether its cells are as many as the header's."""
    try:
        reader = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        header = [name.strip() for name in next(reader, list[str]())]
        _must_be_known(header)
        before = reader.line_num
        for row in reader:
            line, before = before + 1, reader.line_num
            if any(cell.strip() for cell in row):
                yield line, dict(zip(header, map(str.strip, row), strict=False)), len(row) == len(header)
    except UnicodeDecodeError as error:
        raise Unreadable("not-utf-8", "The file is not UTF-8. Save it as CSV in UTF-8.") from error
    except csv.Error as error:
        raise Unreadable("bad-csv", f"The file is no CSV: {error}.") from error


def _must_be_known(header: list[str]) -> None:
    """Invalid if the header has no sku, an unknown column, or a column twice."""
    unknown = [name for name in header if name not in COLUMNS and not name.startswith(METADATA)]
    twice = sorted({name for name in header if header.count(name) > 1})
    if "sku" not in header or unknown or twice:
        named = [(name, "no column of a product") for name in unknown] + [(name, "twice") for name in twice]
        named += [] if "sku" in header else [("sku", "missing")]
        detail = f"The first line must name the columns: sku, and any of {', '.join(COLUMNS[1:])}, {METADATA}…"
        raise Invalid("bad-header", detail, tuple(FieldError(name, "column", why) for name, why in named))


def _differs(name: str, cells: Cells, first: Cells) -> bool:
    return bool(cells[name]) and cells[name] != first.get(name)


def _fields(cells: Cells) -> dict[str, Any]:
    content: dict[str, Any] = {"sku": cells.get("sku", ""), "prices": []}
    content |= {name: _value(name, cells[name]) for name in FIELD_COLUMNS if cells.get(name)}
    metadata = {name.removeprefix(METADATA): text for name, text in cells.items() if name.startswith(METADATA)}
    return {**content, "metadata": {name: text for name, text in metadata.items() if text}}


def _value(name: str, text: str) -> object:
    """The cell as JSON would have it; a text that is no such value is refused where the product is validated."""
    if name == "active":
        return {"true": True, "false": False}.get(text.lower(), text)
    if name == "weight_grams" and text.isascii() and text.isdecimal() and len(text) < 20:
        return int(text)
    return text
