"""The event store on Postgres: `sql/append.sql` appends batches, `sql/read_page.sql` reads without skipping events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.archive import Archive, PageBounds, in_order
from services.kit.eventstore.archive_files import bounds_of
from services.kit.eventstore.connections import Connections, Contention, statement, translated
from services.kit.eventstore.group_commit import LANES, GroupCommit
from services.kit.eventstore.port import (
    PAGE_BYTES_MAX,
    START,
    Append,
    Duplicate,
    HistoryCut,
    OutboxRow,
    Page,
    Position,
    RecordedEvent,
    Result,
    split_at_repeats,
    validated,
)
from services.kit.eventstore.rows import append_once, find_marks, outbox_rows, split
from services.kit.telemetry.tracing import span

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["PostgresEventReader", "PostgresEventStore", "PostgresOutbox", "PostgresTransaction"]

BATCH_ATTEMPTS_MAX = 5
SPARE_CONNECTIONS = 2
"""Connections for reads and transactions, besides one for each lane of group commit."""
READER_CONNECTIONS_MAX = 2
EVENTS_PASSED_MAX = 100_000
"""Events that a page of some types goes through at most. Otherwise a page of rare types would read the whole history in
one statement, which the statement timeout ends (measured with ten million events)."""
FILES_AHEAD_MAX = 16
"""Files that begin after the beginning of a page, and can contribute to it."""
LOG_SCHEMA = "log"
ALL_STREAMS = ("", "\U0010ffff")
"""The first and the last name of a stream, in the order of the collation C."""


class PostgresEventStore:
    """The events of one service; connects on first use. `archive` is the folder of the archives."""

    def __init__(self, dsn: str | Secret, service: str, lanes: int = LANES, archive: str = "") -> None:
        self.connections = Connections(dsn, service, lanes + SPARE_CONNECTIONS)
        self._archive = Archive(archive)
        self._group = GroupCommit(self._append_batch, lanes)
        self._outbox = PostgresOutbox(self.connections)

    @property
    def outbox(self) -> PostgresOutbox:
        """The unpublished events of this service."""
        return self._outbox

    async def append(self, append: Append) -> Result:
        """Append durably; after Unavailable the outcome is unknown, and it is safe to append the same again."""
        with span("append") as appending:
            appending.set("zerocart.events", len(append.events))
            return await self._group.append(validated(append))

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of one stream, in order."""
        rows = await self.connections.fetch(statement("read_stream"), stream, after_version)
        return await _stream(rows, self._archive, after_version)

    async def find_mark(self, key: str) -> Duplicate | None:
        """The append with this inbox mark, if there was one."""
        async with self.connections.use() as connection:
            with translated():
                return (await find_marks(connection, [key])).get(key)

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """The rows of one statement on the service's own tables, in a transaction of its own."""
        return [dict(row) for row in await self.connections.fetch(sql, *arguments)]

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[PostgresTransaction]:
        """A transaction that commits on exit and rolls back on an exception; Contention if it met another one."""
        async with self.connections.transaction() as connection:
            yield PostgresTransaction(connection, self._archive)

    async def close(self) -> None:
        """Finish the running appends and disconnect."""
        await self._group.close()
        await self.connections.close()

    async def _append_batch(self, appends: Sequence[Append]) -> Sequence[Result | Exception]:
        for _ in range(BATCH_ATTEMPTS_MAX):
            try:
                async with self.connections.use() as connection:
                    with translated():
                        return await append_once(connection, appends)
            except Contention:
                continue  # it was rolled back; the marks that it conflicted with are visible now
            except Unavailable:
                raise
            except Exception:
                if len(appends) == 1:
                    raise
                break  # Postgres refuses one append, for example a character in it: run each append alone
        else:
            raise Unavailable(
                "contention", f"{BATCH_ATTEMPTS_MAX} attempts to append conflicted with other transactions: retry"
            )
        return [await self._append_alone(append) for append in appends]

    async def _append_alone(self, append: Append) -> Result | Exception:
        try:
            return (await self._append_batch([append]))[0]
        except Exception as error:  # the result of this append
            return error


class PostgresTransaction:
    """One open transaction."""

    def __init__(self, connection: Connection, archive: Archive) -> None:
        self._connection = connection
        self._archive = archive

    async def append(self, *appends: Append) -> list[Result]:
        """Append within the transaction. Readers wait for its end from the first append on."""
        results: list[Result] = []
        for batch in split_at_repeats([validated(append) for append in appends]):
            with translated():
                results += await append_once(self._connection, batch)
        return results

    async def read(self, stream: str, after_version: int = 0) -> list[RecordedEvent]:
        """The events of a stream, as the transaction sees them."""
        with translated():
            rows = await self._connection.fetch(statement("read_stream"), stream, after_version)
        return await _stream(rows, self._archive, after_version)

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Mapping[str, object]]:
        """Return the rows of a statement on the service's own tables."""
        with translated():
            return [dict(row) for row in await self._connection.fetch(sql, *arguments)]

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement on the service's own tables."""
        with translated():
            await self._connection.execute(sql, *arguments)


class PostgresOutbox:
    """The outbox of one service; of all services if the search path of the connections is `log`."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    async def pending(self, *, stream: str | None = None, rows_max: int) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
        """Rows with their events, per stream in version order; only those of `stream` if it is given."""
        first, last = ALL_STREAMS if stream is None else (stream, stream)
        return outbox_rows(await self._connections.fetch(statement("outbox"), first, last, rows_max))

    async def remove(self, rows: Sequence[OutboxRow]) -> None:
        """Remove published rows; unknown rows are no error."""
        if rows:
            await self._connections.fetch(
                statement("outbox_remove"),
                [row.service for row in rows],
                [row.stream for row in rows],
                [str(row.first_version) for row in rows],
            )


class PostgresEventReader:
    """Reads the events of all services in the global order; its role needs the grants of a reader.

    `archive` is the folder of the archives.
    """

    def __init__(
        self,
        dsn: str | Secret,
        page_bytes_max: int = PAGE_BYTES_MAX,
        archive: str = "",
        passed_max: int = EVENTS_PASSED_MAX,
    ) -> None:
        self.connections = Connections(dsn, LOG_SCHEMA, READER_CONNECTIONS_MAX)
        self._archive = Archive(archive)
        self._page_bytes_max = page_bytes_max
        self._passed_max = passed_max
        self._horizon = START

    @property
    def outbox(self) -> PostgresOutbox:
        """The unpublished events of all services; the role needs the grant."""
        return PostgresOutbox(self.connections)

    async def read_all(self, after: Position, events_max: int) -> Page:
        """A page of the final events after `after`; HistoryCut if the event store lost the event at `after`.

        One statement returns the page with its horizon. It costs more for each event than a page up to a known horizon,
        so a reader that is far behind asks for the horizon and reads as many pages up to it as that fills.
        """
        known = self._horizon
        if known.epoch == after.epoch and known - after >= events_max:
            page = await self._read(after, known, events_max)
            if page.full:
                return page
        return await self._newest(after, events_max)

    async def end(self, after: Position = START) -> Position:
        """The last event that is final, START if there is none; HistoryCut if the event at `after` is lost."""
        return await self._look(after)

    async def epoch(self) -> int:
        """The newest epoch."""
        return int((await self.connections.fetch("SELECT max(epoch) AS epoch FROM epochs"))[0]["epoch"])

    async def read_types(self, after: Position, until: Position, types: Collection[str], events_max: int) -> Page:
        """A page of the events of `types` after `after` and up to `until`, which must be final."""
        reached = await self._reached(after, until)
        page = await self._page(after, reached, list(types), events_max)
        return page if page.full else Page(page.events, max(after, reached), reached < until)

    async def read_streams(self, streams: Collection[str]) -> list[RecordedEvent]:
        """Every event of these streams, of any service, in the global order; it includes events that are not final."""
        events, parts = split(await self.connections.fetch(statement("read_streams"), list(streams)))
        return sorted([*events, *await self._archive.streams(parts)], key=in_order) if parts else events

    async def behind(self, after: Position, events_max: int, types: Collection[str] | None = None) -> int:
        """The number of events of `types` (None: of all) among the next `events_max` events after `after`."""
        rows = await self.connections.fetch(
            statement("behind"), after, events_max, None if types is None else list(types)
        )
        return int(rows[0]["events"])

    async def close(self) -> None:
        """Disconnect."""
        await self.connections.close()

    async def _look(self, after: Position) -> Position:
        """The horizon; HistoryCut if the event at `after` is lost."""
        [row] = await self.connections.fetch(statement("horizon"), after)
        if row["cut_at"] is not None:
            raise HistoryCut(after, Position(row["cut_at"]))
        self._horizon = Position(row["horizon"])
        return self._horizon

    async def _newest(self, after: Position, events_max: int) -> Page:
        rows = await self.connections.fetch(statement("read_final"), after, events_max, self._page_bytes_max)
        if rows and rows[0]["stream"] is None:
            raise HistoryCut(after, Position(rows[0]["position"]))
        events, parts = split(rows)
        if parts:
            return await self._read(after, await self._look(after), events_max)
        full = self._full(events, events_max)
        if full:
            await self._look(events[-1].position)  # the following pages need no other horizon, perhaps
        return Page(events, events[-1].position if events else after, full)

    async def _reached(self, after: Position, until: Position) -> Position:
        """How far a page may go."""
        if until - after <= self._passed_max:
            return until
        rows = await self.connections.fetch(statement("reach"), after, until, self._passed_max)
        return Position(rows[0]["position"]) if rows else until

    async def _read(self, after: Position, until: Position, events_max: int) -> Page:
        page = await self._page(after, until, None, events_max)
        return Page(page.events, page.events[-1].position if page.events else after, page.full)

    async def _page(self, after: Position, until: Position, types: list[str] | None, events_max: int) -> Page:
        rows = await self.connections.fetch(
            statement("read_page"), after, until, types, events_max, self._page_bytes_max, FILES_AHEAD_MAX
        )
        events, parts = split(rows)
        full = self._full(events, events_max)
        end = events[-1].position if full else until
        begins = {part.file: bounds_of(part.file)[0] for part in parts}
        ahead = [begin for begin in begins.values() if begin > after]
        if len(ahead) == FILES_AHEAD_MAX and max(ahead) < end:
            # further files begin after the last of these, and its first event is on the page
            end, full = max(ahead), True
            events = [event for event in events if event.position <= end]
        files = [file for file, begin in begins.items() if begin <= end]
        if not files:
            return Page(events, end, full)
        bounds = PageBounds(after, end, types, events_max, self._page_bytes_max, self._passed_max)
        page = await self._archive.page(events, files, bounds)
        return replace(page, full=page.full or full)

    def _full(self, events: list[RecordedEvent], events_max: int) -> bool:
        return len(events) == events_max or sum(len(each.data.encode()) for each in events) >= self._page_bytes_max


async def _stream(rows: Sequence[Record], archive: Archive, after_version: int) -> list[RecordedEvent]:
    events, parts = split(rows)
    archived = await archive.streams(parts) if parts else ()
    return [*(event for event in archived if event.version > after_version), *events] if archived else events
