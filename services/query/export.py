"""A list as CSV (RFC 4180), streamed: every row of one snapshot, with a few hundred rows in memory.

The same resource in another representation, so it is asked for by `Accept` (RFC 9110, 12.5.1) and not by another path.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastapi.responses import StreamingResponse

from services.kit.asgi import Receive, Scope, Send
from services.kit.logs import log
from services.query.filters import OrderFilter
from services.query.reading import Reading
from services.query.shown import amount_of
from services.query.snapshots import Row

__all__ = ["CSV", "CsvOfOrders", "csv_wanted"]

CSV = "text/csv"
EXPORT_SECONDS_MAX = 240
"""Below what platforms allow a request; who reads slower than this finds the connection closed before the end."""
COLUMNS = (
    "order_id", "customer_id", "customer_name", "email", "status", "reason", "total", "currency", "city", "country",
    "priority", "line_count", "tracking_number", "created_at", "updated_at",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""With one of these in front a spreadsheet would calculate a cell instead of showing it (OWASP, CSV injection)."""


class CsvOfOrders(StreamingResponse):
    """All orders of a list; what it holds is let go of when the client has everything, or has left."""

    def __init__(self, parts: AsyncGenerator[Sequence[Row]], first: Sequence[Row], held: AsyncExitStack) -> None:
        headers = {"Content-Disposition": 'attachment; filename="orders.csv"', "Vary": "Accept"}
        self._lines = _lines(first, parts)
        self._held = held
        super().__init__(self._lines, headers=headers, media_type=f"{CSV}; charset=utf-8; header=present")

    @classmethod
    async def of(cls, reading: Reading, wanted: OrderFilter, sort: str) -> CsvOfOrders:
        """Begins to read, so that what can fail has failed before the answer begins."""
        async with AsyncExitStack() as opened:
            parts = await opened.enter_async_context(reading.every_order(wanted, sort))
            opened.push_async_callback(parts.aclose)
            first = await anext(parts, list[Row]())  # an empty tuple here makes Python 3.11 raise SystemError
            return cls(parts, first, opened.pop_all())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        try:
            async with asyncio.timeout(EXPORT_SECONDS_MAX):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log("export cut off", level=logging.WARNING, seconds=EXPORT_SECONDS_MAX)
        finally:
            await self._lines.aclose()
            await self._held.aclose()


def csv_wanted(accept: str) -> bool:
    """Whether CSV is named, and JSON is not liked better."""
    qualities = dict(_quality(part) for part in accept.lower().split(",") if part.strip())
    json = next((qualities[name] for name in ("application/json", "application/*", "*/*") if name in qualities), 0)
    return qualities.get(CSV, 0) > 0 and qualities[CSV] >= json


def _quality(part: str) -> tuple[str, int]:
    """A media range and how much it is liked, in thousandths."""
    name, *parameters = (each.strip() for each in part.split(";"))
    q = next((each[2:] for each in parameters if each.startswith("q=")), "1")
    return name, int(Decimal(q) * 1_000) if q.replace(".", "", 1).isdecimal() and len(q) <= len("0.000") else 0


async def _lines(first: Sequence[Row], parts: AsyncGenerator[Sequence[Row]]) -> AsyncGenerator[bytes]:
    yield _written([COLUMNS, *map(_cells, first)])
    async for part in parts:
        yield _written(map(_cells, part))


def _written(rows: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [_cell(row[name]) for name in COLUMNS]


def _cell(value: object) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA) else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Decimal):
        return amount_of(value)
    return "" if value is None else str(value)
