"""Tables as CSV (RFC 4180) that spreadsheets can open without harm, written while they are read."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

__all__ = ["CSV", "CSV_RESPONSE", "EXPORT_SECONDS_MAX", "Sheet", "lines"]

EXPORT_SECONDS_MAX = 60
"""How long an export may hold its connection, however slowly it is being read."""
CSV = "text/csv; charset=utf-8; header=present"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
CSV_RESPONSE: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


def lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, header: bool = False) -> str:
    """Rows as lines; a text that a spreadsheet would take for a formula has an apostrophe in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if header:
        writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)
    return text.getvalue()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


class Sheet(StreamingResponse):
    """A file to be kept as `name`; what is behind it is let go whatever becomes of the reader."""

    def __init__(self, name: str, first: str, more: AsyncGenerator[str]) -> None:
        self._more = more
        disposition = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
        super().__init__(_joined(first, more), media_type=CSV, headers=disposition)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3; TimeoutError, which breaks the connection off, if it takes too long."""
        try:
            async with asyncio.timeout(EXPORT_SECONDS_MAX):
                await super().__call__(scope, receive, send)
        finally:
            await self._more.aclose()


async def _joined(first: str, more: AsyncGenerator[str]) -> AsyncGenerator[str]:
    yield first
    async for piece in more:
        yield piece
