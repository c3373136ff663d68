"""UmaDB, a server of its own with one writer, so that its numbers have the order of its commits."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from tools.gauntlet.adapters.threads import in_thread
from tools.gauntlet.servers import Ground
from tools.gauntlet.store import Transaction
from tools.knative_local.ports import kept_or_free
from tools.knative_local.process import spawn, wait_for_port

__all__ = ["UmaStore"]

SERVER = "from umadb.umadb_server_cli import main; main()"
ONLY_APPENDS = "it has no transactions beside its appends"
NO_POSTGRES = "it has a server of its own"


class UmaStore:
    """Its server and its client."""

    name = "umadb"
    version = version("umadb")
    cannot: Mapping[str, str] = {
        "transactions": ONLY_APPENDS,
        "strangers": "nobody else uses its server",
        "postgres": "it has no dump and no standby",
        "sequence": "its numbers cannot be moved",
        "epochs": "its numbers have no epochs",
    }
    events_table = ""

    def __init__(self) -> None:
        self._library = import_module("umadb")
        self._client = None
        self._folder = Path()
        self._port = 0
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of its server's process."""
        assert self._server is not None
        return self._server.pid

    @property
    def ground(self) -> Ground:
        """It has no Postgres servers."""
        raise AssertionError(NO_POSTGRES)

    async def start(self, folder: Path) -> None:
        """Start its server."""
        self._folder, self._port = folder, kept_or_free(0)
        await self._start()
        await self.connect()

    async def connect(self) -> None:
        """Connect."""
        self._client = self._library.Client(f"http://127.0.0.1:{self._port}")

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append with the stream as tag."""
        client = self._client
        assert client is not None
        events = [self._library.Event("gauntlet", text.encode(), tags=[stream]) for text in texts]
        await in_thread(lambda: client.append(events))

    @asynccontextmanager
    async def transaction(self, stream: str) -> AsyncGenerator[Transaction]:
        """It has none."""
        raise AssertionError(f"{stream}: {ONLY_APPENDS}")
        yield

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """A page of all its events."""
        client, start = self._client, int(str(after or 0)) + 1
        assert client is not None
        page = await in_thread(lambda: list(client.read(start=start, limit=events_max)))
        return [bytes(each.event.data).decode() for each in page], page[-1].position if page else after

    async def draw_near(self, boundary: str) -> None:
        """Its numbers cannot be moved."""
        raise AssertionError(f"{boundary}: {self.cannot['sequence']}")

    async def restart(self) -> None:
        """Kill its server, and start it again."""
        assert self._server is not None
        self._server.kill()
        await in_thread(self._server.wait)
        await self._start()
        await self.connect()

    async def close(self) -> None:
        """Disconnect and stop its server."""
        if self._server is not None:
            self._server.kill()
            await in_thread(self._server.wait)

    async def _start(self) -> None:
        command = [sys.executable, "-c", SERVER, "--listen", f"127.0.0.1:{self._port}", "--db-path", str(self._folder)]
        log = self._folder / "umadb.log"
        server = self._server = spawn(command, log=log)
        await in_thread(lambda: wait_for_port("UmaDB", server, self._port, log))
