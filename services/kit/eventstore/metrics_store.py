"""The metrics store: adds the counts of a process to the totals of its service in Postgres, so that they outlive it.

A process flushes while it works and when it ends. Each flush has a number, so that a flush whose outcome is unknown can
be repeated and is added once. An idle process writes nothing.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.connections import Connections, statement, translated
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS, Cell, Metrics

__all__ = ["BY_DAY", "FLUSH_SECONDS", "UNDATED", "MetricsStore", "age_seconds"]

FLUSH_SECONDS = 15.0
LAST_ATTEMPTS_MAX = 3
STAT = Path("/proc/self/stat")
IMPORTED_AT = time.monotonic()
UNDATED = date(1970, 1, 1)
BY_DAY = frozenset({"process_seconds", "cpu_seconds", "transactions"})
"""The metrics that tell what a service costs; they have a total for each day."""


class MetricsStore:
    """Flushes the metrics of one process to the totals of `service`."""

    def __init__(self, connections: Connections, service: str, metrics: Metrics = METRICS) -> None:
        self._connections = connections
        self._service = service
        self._metrics = metrics
        self._process = secrets.token_hex(16)
        self._number = 0
        self._unflushed: list[tuple[date, Cell]] = []
        self._lived = self._worked = 0.0
        self._soon: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Flush within `FLUSH_SECONDS`, and name the sessions of the database after the latest request or event."""
        if self._soon is None or self._soon.done():
            self._soon = asyncio.create_task(self._flush_soon())

    async def flush(self) -> None:
        """Write the counts since the last flush; Unavailable if that fails, and the next flush writes them, too."""
        if not self._unflushed:
            self._unflushed = self._take()
            self._number += 1
        dated = sorted(self._unflushed, key=lambda dated: (dated[0], dated[1][:3]))
        days, cells = [str(day) for day, _ in dated], [cell for _, cell in dated]
        async with self._connections.use(counted=False) as connection:
            with translated():
                await connection.fetch(
                    statement("metrics_add"), self._process, self._number, self._service,
                    days, [cell.name for cell in cells], [cell.labels for cell in cells],
                    [str(cell.slot) for cell in cells], [repr(cell.value) for cell in cells],
                )  # fmt: skip
        self._unflushed = []

    @classmethod
    def apart(cls, dsn: str | Secret, service: str) -> MetricsStore:
        """The metrics store of a service without a schema in the event store: it is in the read database."""
        return cls(Connections(dsn, "public", 1, check_cluster=False), service)

    async def close(self) -> None:
        """Flush the rest and disconnect; if the database is away, the rest is lost and logged."""
        if self._soon is not None:
            self._soon.cancel()
            await asyncio.wait([self._soon])
        for attempt in range(LAST_ATTEMPTS_MAX):
            try:
                if self._unflushed:
                    await self.flush()  # the outcome of the last flush is unknown, so it is repeated first
                await self.flush()
                break
            except Unavailable as error:
                if attempt + 1 == LAST_ATTEMPTS_MAX:
                    log("metrics lost: the database does not answer", level=logging.WARNING, code=error.code)
        await self._connections.close()

    async def _flush_soon(self) -> None:
        with suppress(Unavailable):
            await self._connections.tell_activity()
        await asyncio.sleep(FLUSH_SECONDS)
        try:
            await self.flush()
        except Unavailable as error:
            log(
                "metrics not flushed: the database does not answer, a retry follows",
                level=logging.WARNING,
                code=error.code,
            )

    def _take(self) -> list[tuple[date, Cell]]:
        lived, worked = age_seconds(), time.process_time()
        self._metrics.count("process_seconds", lived - self._lived)
        self._metrics.count("cpu_seconds", worked - self._worked)
        self._metrics.count("transactions")  # the transaction of this flush
        self._lived, self._worked = lived, worked
        today = datetime.now(UTC).date()
        return [(today if cell.name in BY_DAY else UNDATED, cell) for cell in self._metrics.take()]


def age_seconds() -> float:
    """Seconds since this process started; where there is no /proc, since this module was imported."""
    if not STAT.exists():
        return time.monotonic() - IMPORTED_AT
    ticks = int(STAT.read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
