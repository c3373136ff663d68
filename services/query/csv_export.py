"""Tables as CSV (RFC 4180) that spreadsheets can open without harm, written while they are read.

The same resource in another representation, so it is asked for by `Accept` (RFC 9110, 12.5.1) and not by another path.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.kit.rest.params import amount_of
from services.kit.telemetry.logging import log
from services.query.snapshots import Row

__all__ = ["CSV", "CSV_RESPONSE", "EXPORT_SECONDS_MAX", "Sheet", "csv_wanted", "lines"]

EXPORT_SECONDS_MAX = 240
"""Below what platforms allow a request; who reads slower than this finds the connection closed before the end."""
CSV = "text/csv"
MEDIA_TYPE = f"{CSV}; charset=utf-8; header=present"
CSV_RESPONSE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "JSON; with `Accept: text/csv` a table of all there is, products and customers without limit. A "
        "cell that a spreadsheet would calculate has an apostrophe in front.",
        "content": {CSV: {"schema": {"type": "string"}}},
    }
}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a spreadsheet calculate a cell instead of showing it (OWASP, CSV injection)."""
Parts = AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]
Shown = Callable[[Row], Mapping[str, Any]]


def csv_wanted(accept: str) -> bool:
    """Whether CSV is named, and JSON is not liked better."""
    liked = dict(_liked(part) for part in accept.lower().split(",") if part.strip())
    json = next((liked[name] for name in ("application/json", "application/*", "*/*") if name in liked), Decimal(0))
    return liked.get(CSV, Decimal(0)) > 0 and liked[CSV] >= json


def _liked(part: str) -> tuple[str, Decimal]:
    """A media range and its quality; what is not readable is not liked."""
    name, *parameters = (each.strip() for each in part.split(";"))
    quality = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    readable = quality.isascii() and quality.replace(".", "", 1).isdecimal()
    return name, Decimal(quality) if readable else Decimal(0)


def lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool = False) -> str:
    """Rows as lines; a text that a spreadsheet would take for a formula has an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return amount_of(value) if isinstance(value, Decimal) else value


class Sheet(StreamingResponse):
    """A table as a file; what it is read from is let go of when the client has everything, or has left."""

    def __init__(self, pieces: AsyncGenerator[str], held: AsyncExitStack, filename: str | None) -> None:
        self._pieces = pieces
        self._held = held
        named = {"Content-Disposition": f'attachment; filename="{filename}"'} if filename else {}
        super().__init__(pieces, media_type=MEDIA_TYPE, headers={"Vary": "Accept", **named})

    @classmethod
    async def of(
        cls, parts: Parts, columns: Sequence[str], *, shown: Shown = lambda row: row, filename: str | None = None
    ) -> Sheet:
        """Begins to read, so that what can fail has failed before the answer begins."""
        async with AsyncExitStack() as opened:
            rest = await opened.enter_async_context(parts)
            opened.push_async_callback(rest.aclose)
            first = await anext(rest, list[Row]())  # an empty tuple here makes Python 3.11 raise SystemError
            head = lines(columns, map(shown, first), header=True)
            return cls(_pieces(head, rest, columns, shown), opened.pop_all(), filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3; the server breaks the connection off if it takes too long."""
        try:
            async with asyncio.timeout(EXPORT_SECONDS_MAX):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log("export cut off", level=logging.WARNING, seconds=EXPORT_SECONDS_MAX)
        finally:
            await self._pieces.aclose()
            await self._held.aclose()


async def _pieces(
    head: str, rest: AsyncGenerator[Sequence[Row]], columns: Sequence[str], shown: Shown
) -> AsyncGenerator[str]:
    yield head
    async for part in rest:
        yield lines(columns, map(shown, part))
