"""CSV answers (RFC 4180) that are safe to open in a spreadsheet and are written while rows are read.

CSV is another representation of the same resource, so clients ask for it by `Accept` (RFC 9110, 12.5.1) and not by
another path.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.kit.domain.currencies import shown_amount
from services.kit.domain.instants import instant_text
from services.kit.telemetry.logging import log
from services.query.snapshots import Row

__all__ = ["CSV", "EXPORT_SECONDS_MAX", "VARY", "CsvExport", "csv_lines", "csv_wanted"]

EXPORT_SECONDS_MAX = 240
"""Below the time that platforms allow a request; the connection of a slower client is closed before the end."""
CSV = "text/csv"
MEDIA_TYPE = f"{CSV}; charset=utf-8; header=present"
VARY: Mapping[str, str] = {"Vary": "Accept"}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Beginnings of cells that a spreadsheet would evaluate instead of show (OWASP, CSV injection)."""
Parts = AbstractAsyncContextManager[AsyncGenerator[Sequence[Row]]]
Render = Callable[[Row], Mapping[str, Any]]


def csv_wanted(accept: str) -> bool:
    """Whether an Accept header names CSV and does not prefer JSON."""
    qualities = dict(_quality(part) for part in accept.lower().split(",") if part.strip())
    json_ranges = (name for name in ("application/json", "application/*", "*/*") if name in qualities)
    as_json = next((qualities[name] for name in json_ranges), Decimal(0))
    return qualities.get(CSV, Decimal(0)) > 0 and qualities[CSV] >= as_json


def _quality(part: str) -> tuple[str, Decimal]:
    """A media range and its quality; 0 if the quality is malformed."""
    name, *parameters = (each.strip() for each in part.split(";"))
    quality = next((each.removeprefix("q=") for each in parameters if each.startswith("q=")), "1")
    well_formed = quality.isascii() and quality.replace(".", "", 1).isdecimal()
    return name, Decimal(quality) if well_formed else Decimal(0)


def csv_lines(
    columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool = False, zone: tzinfo = UTC
) -> str:
    """Rows as CSV lines; a text that a spreadsheet would take for a formula gets an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(name), zone, row.get("currency", "")) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object, zone: tzinfo, currency: str) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    if isinstance(value, datetime):
        return instant_text(value.astimezone(zone))
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return shown_amount(value, currency) if isinstance(value, Decimal) else value


class CsvExport(StreamingResponse):
    """A CSV file as an answer; it closes its database cursor when the client has everything or has disconnected."""

    def __init__(self, pieces: AsyncGenerator[str], resources: AsyncExitStack, filename: str | None) -> None:
        self._pieces = pieces
        self._resources = resources
        disposition = {"Content-Disposition": f'attachment; filename="{filename}"'} if filename else {}
        super().__init__(pieces, media_type=MEDIA_TYPE, headers={**VARY, **disposition})

    @classmethod
    async def start(
        cls,
        parts: Parts,
        columns: Sequence[str],
        *,
        render: Render = lambda row: row,
        filename: str | None = None,
        zone: tzinfo = UTC,
    ) -> CsvExport:
        """Read the first part, so that a query that fails is answered with an error and not with half a file."""
        async with AsyncExitStack() as opened:
            rest = await opened.enter_async_context(parts)
            opened.push_async_callback(rest.aclose)
            first = await anext(rest, list[Row]())  # an empty tuple here makes Python 3.11 raise SystemError
            head = csv_lines(columns, map(render, first), header=True, zone=zone)
            pieces = (csv_lines(columns, map(render, part), zone=zone) async for part in rest)
            return cls(_after(head, pieces), opened.pop_all(), filename)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file (ASGI 3); after EXPORT_SECONDS_MAX the server closes the connection."""
        try:
            async with asyncio.timeout(EXPORT_SECONDS_MAX):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log("csv export stopped: the client read too slowly", level=logging.WARNING, seconds=EXPORT_SECONDS_MAX)
        finally:
            await self._pieces.aclose()
            await self._resources.aclose()


async def _after(head: str, rest: AsyncGenerator[str]) -> AsyncGenerator[str]:
    yield head
    async for piece in rest:
        yield piece
