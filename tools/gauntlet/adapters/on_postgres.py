"""What the adapters of stores on Postgres have in common: the servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tools.gauntlet.servers import Ground, run_sql

__all__ = ["OnPostgres"]


class OnPostgres:
    """The servers of a store, and how they are moved."""

    cannot: Mapping[str, str] = {}
    sequence = ""
    """The sequence of the positions."""

    def __init__(self) -> None:
        self._ground: Ground | None = None

    @property
    def ground(self) -> Ground:
        """The Postgres servers of the store."""
        assert self._ground is not None
        return self._ground

    async def start(self, folder: Path) -> None:
        """Start a server and connect."""
        self._ground = Ground(folder)
        await self._ground.start()
        await self.connect()

    async def connect(self) -> None:
        """Connect to the server as it is now."""
        raise AssertionError("each adapter connects in its own way")

    async def disconnect(self) -> None:
        """Disconnect."""

    async def restart(self) -> None:
        """Kill the server, and start it again."""
        await self.ground.restart()

    async def draw_near(self, boundary: str) -> None:
        """Move the sequence to twenty numbers before a boundary."""
        last = int(str(await run_sql(self.ground.dsn(), f"SELECT last_value FROM {self.sequence}")))  # noqa: S608 - our names
        bits = 32 if boundary == "2^32" else 48
        near = ((last >> bits) + 1 << bits) - 20
        await run_sql(self.ground.dsn(), f"SELECT setval('{self.sequence}', {near})")

    async def close(self) -> None:
        """Disconnect and stop the servers."""
        await self.disconnect()
        if self._ground is not None:
            await self._ground.close()
