"""The Postgres servers of a store under test: crash, dump and restore, failover to a standby that lags."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from tools.knative_local.postgres import PostgresServer, binary

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["DATABASE", "Ground", "run_sql"]

DATABASE = "gauntlet"
STRANGERS = "strangers"
SETTINGS = {"max_prepared_transactions": "50", "max_connections": "200"}
STANDBY_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05


class Ground:
    """The server that serves now, and those that took over from it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers = [PostgresServer(folder / "first", SETTINGS)]
        self._standby: PostgresServer | None = None

    @property
    def server(self) -> PostgresServer:
        """The server that serves now."""
        return self._servers[-1]

    def dsn(self, database: str = DATABASE) -> str:
        """The address of a database, as superuser."""
        return self.server.dsn(database)

    async def start(self) -> None:
        """Start the first server, with a database for the store and one for strangers."""
        await _start(self.server)
        await self._create()

    async def restart(self) -> None:
        """Kill the server as a power cut would, and start it again."""
        await asyncio.to_thread(self.server.kill)
        await _start(self.server)

    async def dump(self) -> Path:
        """Dump the database of the store."""
        file = self._folder / "dump"
        file.unlink(missing_ok=True)
        await _run("pg_dump", "--format=custom", f"--file={file}", self.dsn())
        return file

    async def restore(self, dump: Path) -> None:
        """Replace the server by a new one, into which the dump is restored."""
        await self._replace_by(PostgresServer(self._new_folder(), SETTINGS))
        await self._create()
        await _run(
            "pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", f"--dbname={self.dsn()}", str(dump)
        )

    async def add_standby(self) -> None:
        """Start a standby of the server."""
        folder = self._new_folder()
        folder.mkdir()
        data = f"--pgdata={folder / 'data'}"
        await _run("pg_basebackup", f"--dbname={self.dsn('postgres')}", data, "-R", "--checkpoint=fast")
        (folder / "password").write_text(self.server.password)
        self._standby = PostgresServer(folder, SETTINGS)
        await _start(self._standby)
        await self._wait("SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")

    async def cut_off_standby(self) -> None:
        """Let the standby lag: from now on it receives nothing."""
        assert self._standby is not None
        await run_sql(self._standby.dsn(), "ALTER SYSTEM SET primary_conninfo = ''")
        await run_sql(self._standby.dsn(), "SELECT pg_reload_conf()")
        await self._wait("SELECT count(*) = 0 FROM pg_stat_wal_receiver")

    async def fail_over(self) -> None:
        """Kill the server, and promote the standby."""
        assert self._standby is not None
        await asyncio.to_thread(self.server.kill)
        await run_sql(self._standby.dsn(), "SELECT pg_promote()")
        self._servers.append(self._standby)
        self._standby = None

    async def close(self) -> None:
        """Stop all servers."""
        for server in [*self._servers, *([self._standby] if self._standby else [])]:
            await asyncio.to_thread(server.stop)

    async def _create(self) -> None:
        for database in (DATABASE, STRANGERS):
            await run_sql(self.dsn("postgres"), f"CREATE DATABASE {database}")

    async def _replace_by(self, server: PostgresServer) -> None:
        await asyncio.to_thread(self.server.stop)
        await _start(server)
        self._servers.append(server)

    def _new_folder(self) -> Path:
        return self._folder / f"server-{len(self._servers) + 1}"

    async def _wait(self, condition: str) -> None:
        assert self._standby is not None
        async with asyncio.timeout(STANDBY_SECONDS_MAX):
            while not await run_sql(self._standby.dsn(), condition):  # noqa: ASYNC110 - a server
                await asyncio.sleep(POLL_SECONDS)


async def _start(server: PostgresServer) -> None:
    server.begin()  # in this thread, because a server dies with the thread that started it
    await asyncio.to_thread(server.wait)


async def run_sql(dsn: str, sql: str) -> object:
    """Run one statement in a connection of its own; its first value."""
    connection = await connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def connect(dsn: str) -> Connection:
    """A connection beside those of the store."""
    import asyncpg

    return await asyncpg.connect(dsn)


async def _run(program: str, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(str(binary(program)), *arguments, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{program} failed: {errors.decode().strip()}")
