"""What the gauntlet needs of an event store. Each adapter implements `Store`; `adapters` has one for each store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from tools.gauntlet.servers import Ground

__all__ = ["HistoryLostError", "RollBackError", "Store", "Transaction"]


class HistoryLostError(Exception):
    """Events that the reader has read are lost, so that it must read from the start."""


class RollBackError(Exception):
    """Raised within a transaction, so that it rolls back."""


class Transaction(Protocol):
    """An open transaction of a store."""

    async def append(self, stream: str, texts: Sequence[str]) -> None: ...

    async def execute(self, sql: str) -> None:
        """Run `SAVEPOINT`, `ROLLBACK TO`, or `PREPARE TRANSACTION`."""
        ...


class Store(Protocol):
    """An event store. The text of an event identifies it; each stream has one writer."""

    name: str
    version: str
    cannot: Mapping[str, str]
    """Why the store cannot run a case, by the name of the need (`tools.gauntlet.cases`)."""
    events_table: str
    """The table on which a stranger locks a row."""

    async def start(self, folder: Path) -> None:
        """Start its server with its data in an empty folder."""
        ...

    async def connect(self) -> None:
        """Connect to the server as it is now, for example after a failover, and make tables that are missing."""
        ...

    @property
    def ground(self) -> Ground:
        """The Postgres servers of the store."""
        ...

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append durably."""
        ...

    def transaction(self, stream: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction for the writer of a stream, which commits on exit and rolls back on an exception."""
        ...

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """A page of the global order after a checkpoint (None: from the start), and the checkpoint after it."""
        ...

    async def draw_near(self, boundary: str) -> None:
        """Move the sequence of the positions to shortly before a boundary: `2^32` or `epoch`."""
        ...

    async def restart(self) -> None:
        """Kill the server, and start it again."""
        ...

    async def close(self) -> None:
        """Disconnect and stop the servers."""
        ...
