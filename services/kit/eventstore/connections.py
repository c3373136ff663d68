"""A small pool of Postgres connections, and the translation of the driver's errors.

asyncpg's own pool (0.32) is not used: by the medians it costs 179 us more per use, 125 us more without its reset query,
where a `SELECT 1` on a connection of this pool takes 113 us. It also needs a running event loop when it is made, and an
app is made before its loop runs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from services.kit.config.secrets import Secret, plain
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.pooler import connect_arguments, is_pooled, local_settings
from services.kit.telemetry.activity import ACTIVITY
from services.kit.telemetry.metrics import METRICS

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Connections", "Contention", "statement", "translated"]

CONNECT_TIMEOUT_SECONDS = 2.0
STATEMENT_TIMEOUT_MS = 10_000
ANSWER_TIMEOUT_SECONDS = 12.0
"""Longer than the server's own statement timeout, so that it is reached only if the server does not answer at all."""
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
RETRY_AFTER_SECONDS = 2
CLOCKS_DIFFER_MAX_SECONDS = 60.0
"""Half of the shortest deadline of a step. With a larger difference a timer can fire before its reply comes."""

AWAY_STATES = ("08", "28", "3D", "53", "57", "25006", "25P03", "25P04", "55000")
"""SQLSTATE prefixes of a server that cannot serve now: connection, access, resources, operator, read only, a
transaction that the server ended for its time, and a database that accepts no connections."""
CONTENTION_STATES = ("40001", "40P01", "55P03")

ISOLATION: Literal["read_committed"] = "read_committed"
"""A server can have another default, with which a reader would skip events (docs/decisions/0023-positions.md)."""

SETTINGS = {
    "default_transaction_isolation": "read committed",
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    "synchronous_commit": "on",  # what was answered is on disk, here and on a synchronous standby
    # Every statement looks up by key. A plan that is made while a table is small must not scan the table when it grows.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
}


VERIFY = "SELECT log.is_current() AS current, extract(epoch FROM clock_timestamp())::float8 AS clock"


class Contention(Unavailable):
    """A conflict with another transaction: this one was rolled back, and a retry at once may succeed."""


class NewEpoch(Contention):
    """The database was restored or failed over while this connection was open: a new epoch must begin."""


class Connections:
    """Up to `connections_max` connections with `search_path` set to `schema`, also through a pooler.

    With `check_cluster`, for the database of the event store, a connection to a database that was restored or failed
    over begins a new epoch. While the database lacks a table or a grant, or its clock and `now` differ too much, every
    use is Unavailable.
    """

    def __init__(
        self,
        dsn: str | Secret,
        schema: str,
        connections_max: int,
        *,
        check_cluster: bool = True,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._dsn = plain(dsn)
        self._settings = {**SETTINGS, "search_path": schema}
        self._check_cluster = check_cluster
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(connections_max)
        self._is_closed = False
        self._now = now
        self._offset = self._clock_offset()
        self._pooled: bool | None = None

    @asynccontextmanager
    async def use(self, *, counted: bool = True) -> AsyncGenerator[Connection]:
        """A connection for statements that need no common transaction; Unavailable if Postgres cannot be reached."""
        # through a pooler the settings hold within a transaction only
        use = self.transaction if self._is_pooled() else self._lent
        async with use(counted=counted) as connection:
            yield connection

    @asynccontextmanager
    async def transaction(
        self, *, isolation: Literal["repeatable_read"] | None = None, readonly: bool = False, counted: bool = True
    ) -> AsyncGenerator[Connection]:
        """A connection with a transaction, which commits on exit and rolls back on an exception."""
        async with self._lent(counted=counted) as connection:
            transaction = connection.transaction(isolation=isolation or ISOLATION, readonly=readonly)
            with translated():
                await transaction.start()
            try:
                if self._is_pooled():
                    with translated():
                        await connection.execute(local_settings(self._settings))
                yield connection
            except BaseException:
                with suppress(Exception):  # `_give_back` closes a connection whose rollback failed
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()

    @asynccontextmanager
    async def _lent(self, *, counted: bool) -> AsyncGenerator[Connection]:
        async with self._slots:
            if counted:
                METRICS.count("transactions")
            connection = self._idle_one() or await self._connect()
            try:
                with _whole() if self._check_cluster else nullcontext():
                    yield connection
            except NewEpoch:
                await _begin_epoch(connection)
                raise
            except Contention:
                raise  # the server has rolled back, so the connection can be used again
            except (asyncio.CancelledError, TimeoutError, Unavailable):
                connection.terminate()  # the answer to an abandoned statement may still arrive on it
                raise
            finally:
                self._give_back(connection)

    async def fetch(self, sql: str, *arguments: object) -> list[Record]:
        """Return the rows of one statement, run in its own transaction."""
        async with self.use() as connection:
            with translated():
                return await connection.fetch(sql, *arguments)

    async def tell_activity(self) -> None:
        """Write what the process handles into the name of an idle session, if one exists; Unavailable if that fails."""
        if self._idle and not self._is_pooled():  # a session of a pooler belongs to all its clients
            await self.fetch("SELECT set_config('application_name', $1, false)", ACTIVITY.session_name)

    async def close(self) -> None:
        """Close idle connections at once, and busy ones when their transactions end."""
        self._is_closed = True
        while self._idle:
            with suppress(Exception):  # it is not used again, so its errors do not matter
                await self._idle.pop().close(timeout=CONNECT_TIMEOUT_SECONDS)

    def _clock_offset(self) -> float:
        """Changes when somebody sets the clock."""
        return self._now() - time.monotonic()

    def _is_pooled(self) -> bool:
        if self._pooled is None:
            self._pooled = is_pooled(self._dsn())
        return self._pooled

    async def _verify(self, connection: Connection) -> None:
        """Begin an epoch if the database was restored; Unavailable if its clock and ours differ too much."""
        before = self._now()
        with translated():
            [row] = await connection.fetch(VERIFY)
        server: float = row["clock"]
        behind = server - min(max(server, before), self._now())  # 0 if the server's time is between both
        if abs(behind) > CLOCKS_DIFFER_MAX_SECONDS:
            where = "behind" if behind > 0 else "ahead of"
            detail = f"the clock of this process is {abs(behind):.0f} s {where} that of Postgres: set both by NTP"
            raise Unavailable("clock-differs", detail, RETRY_AFTER_SECONDS)
        if not row["current"]:
            await _begin_epoch(connection)

    def _give_back(self, connection: Connection) -> None:
        if connection.is_closed():
            return
        if self._is_closed or connection.is_in_transaction():  # in a transaction: its rollback failed
            connection.terminate()
        else:
            self._idle.append(connection)

    def _idle_one(self) -> Connection | None:
        if abs(self._clock_offset() - self._offset) > CLOCKS_DIFFER_MAX_SECONDS:
            while self._idle:  # a new connection compares the clocks again
                self._idle.pop().terminate()
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None

    async def _connect(self) -> Connection:
        import asyncpg

        with translated():
            connection = await asyncpg.connect(
                # the address is read each time: the password may have been rotated
                **connect_arguments(self._dsn(), {"application_name": ACTIVITY.session_name, **self._settings}),
                timeout=CONNECT_TIMEOUT_SECONDS,
                command_timeout=ANSWER_TIMEOUT_SECONDS,
                max_cached_statement_lifetime=0,
            )
        try:
            if self._check_cluster:
                with _whole():
                    await self._verify(connection)
            self._offset = self._clock_offset()
        except BaseException:
            connection.terminate()
            raise
        return connection


async def _begin_epoch(connection: Connection) -> None:
    """Begin an epoch, unless another process has begun it meanwhile; Unavailable if the database is a standby."""
    with translated():
        await connection.execute("SELECT log.begin_epoch()")


@contextmanager
def _whole() -> Generator[None]:
    """Replace the errors for a missing table or grant by Unavailable: a retry succeeds when it is back."""
    import asyncpg

    try:
        yield
    except (
        asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError, asyncpg.UndefinedColumnError,
        asyncpg.UndefinedFunctionError, asyncpg.UndefinedTableError,
    ) as error:  # fmt: skip
        next_step = "run `python -m services.setup`; what was dropped comes back from a backup only (docs/operate.md)"
        raise Unavailable("not-migrated", f"{error}: {next_step}", RETRY_AFTER_SECONDS) from error


@contextmanager
def translated() -> Generator[None]:
    """Replace the driver's errors for a database that is away or busy by Unavailable or Contention."""
    try:
        yield
    except Exception as error:
        translation = _translation(error)
        if translation is None:
            raise
        raise translation from error


def _translation(error: Exception) -> Unavailable | None:
    import asyncpg

    match error:
        case asyncpg.PostgresError(sqlstate="ZC001"):
            return NewEpoch("new-epoch", "the event store was restored or failed over: retry", RETRY_AFTER_SECONDS)
        case asyncpg.PostgresError(sqlstate="ZC002"):
            return Unavailable("event-store-unsafe", str(error), RETRY_AFTER_SECONDS)
        case asyncpg.UniqueViolationError(constraint_name="inbox_pkey"):
            return Contention("mark-race", "another process handles the same message", RETRY_AFTER_SECONDS)
        case asyncpg.UniqueViolationError(schema_name="vault", table_name="keys"):
            return Contention("key-race", "another process makes the key of the same person", RETRY_AFTER_SECONDS)
        case asyncpg.PostgresError(sqlstate=str(state)) if state in CONTENTION_STATES:
            return Contention(
                "contention", f"another transaction conflicted with this one ({state})", RETRY_AFTER_SECONDS
            )
        case asyncpg.ProgramLimitExceededError(
            constraint_name=None, hint=str()
        ):  # else a key is too long for its index
            return Unavailable("database-away", f"Postgres has no transaction ids ({error})", RETRY_AFTER_SECONDS)
        case asyncpg.PostgresError(sqlstate=str(state)) if state.startswith(AWAY_STATES):
            return Unavailable("database-away", f"Postgres cannot serve now ({state})", RETRY_AFTER_SECONDS)
        case asyncpg.DataError():
            return None
        # InternalClientError: the server ended the session between two statements
        case OSError() | TimeoutError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return Unavailable(
                "database-away", f"Postgres cannot be reached ({type(error).__name__})", RETRY_AFTER_SECONDS
            )
        case _:
            return None


@cache
def statement(name: str) -> str:
    """The statement in `sql/<name>.sql`."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
