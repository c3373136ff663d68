"""The report of a replay: one row for each line, order or cancellation that is not imported, with the reason."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

from tools.importer.records import CancellationRefusal, OrderRefusal, Part, ReportRow, Tally
from tools.importer.rows import BadFileError

__all__ = ["control_totals", "held", "refusals", "reporting", "unheld"]

JSON_LINES = (".jsonl", ".ndjson", ".json")
COLUMNS = ("file", "line", "what", "invoice", "reason", "code", "detail", "amount", "currency")


@contextmanager
def reporting(file: Path | None) -> Generator[Callable[[ReportRow], None] | None]:
    """A function that writes rows to a file, JSON lines or CSV by the file's name; None without a file.

    BadFileError if the file cannot be written.
    """
    if file is None:
        yield None
        return
    try:
        text = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise BadFileError(f"The report {file} cannot be written: {error.strerror or error}") from error
    with text:
        if file.suffix in JSON_LINES:
            yield lambda refused: print(json.dumps(_row(refused)), file=text)
            return
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        yield lambda refused: writer.writerow(_row(refused).values())


def _row(refused: ReportRow) -> dict[str, object]:
    amount = refused.amount
    return {
        "file": refused.file,
        "line": refused.line,
        "what": refused.what,
        "invoice": refused.invoice,
        "reason": str(refused.reason),
        "code": refused.reason.name.lower(),
        "detail": refused.detail,
        "amount": f"{amount.money:f}" if amount else "",
        "currency": amount.currency if amount else "",
    }


def refusals(tally: Tally) -> list[tuple[str, str, int]]:
    """Kind, reason and count of everything not imported: lines first, then the most frequent."""
    order = ("line", "order", "cancellation", "note")
    found = [(what, str(reason), count) for (what, reason), count in tally.refused.items()]
    return sorted(found, key=lambda row: (order.index(row[0]), -row[2], row[1]))


def control_totals(tally: Tally) -> Mapping[str, Mapping[str, Decimal]]:
    """The money of a file by currency: `read` is the sum of the other parts. Refusals by the system are taken out."""
    found: dict[str, Mapping[str, Decimal]] = {}
    for currency in sorted({currency for _, _, currency in tally.money}):
        refused = _sum(tally, currency, "order", OrderRefusal.SYSTEM)
        undone = sum(
            _sum(tally, currency, "cancellation", reason)
            for reason in (CancellationRefusal.SYSTEM, CancellationRefusal.NOT_PLACED)
        )
        parts = {
            "read": _sum(tally, currency, Part.READ),
            "orders": _sum(tally, currency, Part.ORDERS) - refused,
            "rounding": _sum(tally, currency, Part.ROUNDING),
            "lines_not_imported": _sum(tally, currency, "line"),
            "orders_not_imported": _sum(tally, currency, "order"),
            "credits_that_cancel": undone - _sum(tally, currency, Part.CANCELLED),
            "credits_not_done": -_sum(tally, currency, "cancellation"),
        }
        if refunded := _sum(tally, currency, Part.REFUNDED):
            parts["credits_that_refund"] = -refunded
        if any(parts.values()):
            found[currency] = parts
    return found


def unheld(tally: Tally) -> list[tuple[str, str, Decimal]]:
    """Name, currency and sum of the amounts that the orders do not hold."""
    return _named(tally, Part.UNHELD)


def held(tally: Tally) -> list[tuple[str, str, Decimal]]:
    """Name, currency and sum of the amounts that the imported orders hold beside their lines."""
    return _named(tally, Part.HELD)


def _named(tally: Tally, of_part: Part) -> list[tuple[str, str, Decimal]]:
    found = ((name, of, amount) for (part, name, of), amount in tally.money.items() if part == of_part and amount)
    return sorted(found)


def _sum(tally: Tally, currency: str, what: str, reason: str | None = None) -> Decimal:
    return sum(
        (
            amount
            for (kind, why, of), amount in tally.money.items()
            if (kind, of) == (what, currency) and reason in (None, why)
        ),
        Decimal(0),
    )
