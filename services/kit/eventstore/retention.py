"""Removes rows whose retention period is over: inbox marks, and the rows that a service declares."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from services.kit.domain.errors import Unavailable
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS

if TYPE_CHECKING:
    from services.kit.eventstore.connections import Connections

__all__ = ["Retention"]

BATCH_ROWS_MAX = 1_000
FIRST_SECONDS = 30.0
"""The messages that woke the process are handled first."""
EVERY_SECONDS = 3_600.0
MARKS = {"inbox": "at"}

REMOVE = """
    WITH removed AS (
        DELETE FROM {table}
        WHERE ctid = ANY(
            ARRAY(SELECT ctid FROM {table} WHERE {column} < now() - $1::interval ORDER BY {column} LIMIT $2)
        )
        RETURNING true
    )
    SELECT count(*) AS rows FROM removed
"""


class Retention:
    """Removes rows of one service that are older than `period`.

    `tables` has the name of each table, and of its column with the time from which the period counts. Inbox marks are
    always included: a repeated message or `Idempotency-Key` is recognized within the period only.
    """

    def __init__(self, connections: Connections, period: timedelta, tables: Mapping[str, str] = {}) -> None:
        self._connections = connections
        self._period = period
        self._tables = {**MARKS, **tables}

    async def remove_old(self) -> int:
        """Remove the rows that are too old by the clock of the server, in short transactions; their number."""
        return sum([await self._remove(table, column) for table, column in self._tables.items()])

    async def _remove(self, table: str, column: str) -> int:
        sql, removed, is_full = REMOVE.format(table=table, column=column), 0, True
        while is_full:
            (row,) = await self._connections.fetch(sql, self._period, BATCH_ROWS_MAX)
            removed += row["rows"]
            is_full = row["rows"] == BATCH_ROWS_MAX
        if removed:
            METRICS.count("old_rows_removed", removed, table=table)
            log("old rows removed", table=table, rows=removed)
        return removed

    async def keep_removing(self, is_allowed: Callable[[], bool], first_seconds: float = FIRST_SECONDS) -> None:
        """Remove old rows once it is allowed and then every hour, until cancelled."""
        while True:
            await asyncio.sleep(first_seconds)
            if is_allowed():
                await self._remove_if_possible()
                await asyncio.sleep(EVERY_SECONDS)

    async def _remove_if_possible(self) -> None:
        try:
            await self.remove_old()
        except Unavailable as error:
            log("old rows not removed: the next attempt follows", level=logging.WARNING, code=error.code)
