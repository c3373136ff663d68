"""Archives the streams of the tests: `python -m tests.ports.archiving DSN FOLDER POINT` kills itself at a point.

written: the file is complete, and the event store knows nothing of it. deleted: within the transaction. recorded: before
its commit.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from services.kit.eventstore.archiver import Archiver, Finished

POINTS = ("written", "deleted", "recorded")
RULES = {
    service: Finished(("zerocart.test.ended.v1",), ("zerocart.test.noted.v1",)) for service in ("orders", "payments")
}
LATER = datetime(2027, 1, 1, tzinfo=UTC)


class Mortal(Archiver):
    """Kills its process at a point."""

    point = ""

    async def _written(self, batch: Any) -> Any:
        return self._die_at("written", await super()._written(batch))

    async def _delete(self, batch: Any, expected: int) -> None:
        self._die_at("deleted", await super()._delete(batch, expected))

    async def _record(self, batch: Any, file: Any) -> None:
        self._die_at("recorded", await super()._record(batch, file))

    def _die_at(self, point: str, result: Any) -> Any:
        if point == self.point:
            os.kill(os.getpid(), signal.SIGKILL)
        return result


@asynccontextmanager
async def connected(dsn: str) -> AsyncGenerator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def archive(dsn: str, folder: Path, before: datetime = LATER, events_max: int = 50, point: str = "") -> int:
    async with connected(dsn) as connection:
        archiver = Mortal(connection, folder, RULES, events_max)
        archiver.point = point
        return await archiver.run(before)


if __name__ == "__main__":
    asyncio.run(archive(sys.argv[1], Path(sys.argv[2]), point=sys.argv[3]))
