"""Moves finished streams from the event store to files, and back (docs/archive.md).

A batch is written to a file, which is synced and read again. Then one transaction deletes the events and records the
file, so a process that dies at any point loses and doubles nothing: at most a file is left that nobody reads.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from services.kit.domain.errors import ZerocartError
from services.kit.domain.message import Message
from services.kit.eventstore.archive_files import ArchiveFile, read_member, sha256_of, write_archive
from services.kit.eventstore.connections import statement
from services.kit.eventstore.port import RecordedEvent
from services.kit.eventstore.rows import recorded
from services.kit.telemetry.logging import log

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Archiver", "Finished", "check", "finished", "restore"]

PAGE_EVENTS_MAX = 5_000
FILE_EVENTS_MAX = 50_000
"""A file ends with the stream that reaches it."""
FETCH_EVENTS_MAX = 500
LOCK_KEY = 0x7A617263
"""One process at a time moves events. Its sign differs from that of the locks of writers (0006_positions.sql)."""
ALL = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Finished:
    """Which streams of a service are finished: those whose last event, without the types of `ignoring`, is one of `by`.

    An archived stream can be read and appended to like any other, so this only has to be right for most streams.
    """

    by: tuple[str, ...]
    ignoring: tuple[str, ...] = ()
    keep: str = ""
    """A statement of the service that stores values from the events of the streams $1 up to the versions $2."""


def finished(by: Sequence[type[Message]], ignoring: Sequence[type[Message]] = (), keep: str = "") -> Finished:
    """The rule for streams of these events."""
    return Finished(tuple(each.type for each in by), tuple(each.type for each in ignoring), keep)


@dataclass(slots=True)
class _Batch:
    services: list[str] = field(default_factory=list[str])
    streams: list[str] = field(default_factory=list[str])
    versions: list[int] = field(default_factory=list[int])
    reached: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def events(self) -> int:
        return sum(self.versions)

    @property
    def columns(self) -> tuple[list[str], list[str], list[int]]:
        return self.services, self.streams, self.versions


class Archiver:
    """Moves the finished streams of some services to files in `folder`; the connection is that of the owner."""

    def __init__(
        self, connection: Connection, folder: Path, finished: Mapping[str, Finished], events_max: int = FILE_EVENTS_MAX
    ) -> None:
        self._connection = connection
        self._folder = folder
        self._finished = finished
        self._events_max = events_max

    async def run(self, before: datetime, until: int = ALL) -> int:
        """Archive the streams that are finished, older than `before` and not after the position `until`.

        Returns the number of events.         ZerocartError if another process does so now. Safe to kill, and to repeat.
        """
        await _alone(self._connection)
        if not self._folder.is_dir():
            raise ZerocartError(
                "no-archive", f"the folder {self._folder} of the archives does not exist: make or mount it"
            )
        horizon: int = await self._connection.fetchval("SELECT horizon FROM log.horizon(0)")
        moved = 0
        while (batch := await self._next_batch(before, min(until, horizon))).reached:
            moved += await self._move(batch)
        return moved

    async def _next_batch(self, before: datetime, until: int) -> _Batch:
        batch = _Batch()
        for service, rule in self._finished.items():
            after = await self._begun(service, rule)
            while batch.events < self._events_max:
                rows = await self._page(service, after, until, before)
                if not rows:
                    break
                after = batch.reached[service] = rows[-1]["position"]
                ending = [row for row in rows if row["stream"] is not None]
                batch.services += [service] * len(ending)
                batch.streams += [row["stream"] for row in ending]
                batch.versions += [row["version"] for row in ending]
        return batch

    async def _begun(self, service: str, rule: Finished) -> int:
        return await self._connection.fetchval(
            "SELECT coalesce((SELECT position FROM log.archiving WHERE service = $1 AND rule = $2), 0)",
            service,
            repr(rule),
        )

    async def _page(self, service: str, after: int, until: int, before: datetime) -> list[Record]:
        rule = self._finished[service]
        await self._connection.execute(f"SET search_path = {service}")
        return await self._connection.fetch(
            statement("archive_candidates"),
            after,
            PAGE_EVENTS_MAX,
            until,
            before,
            list(rule.by),
            list(rule.ignoring),
        )

    async def _move(self, batch: _Batch) -> int:
        file = await self._written(batch) if batch.streams else None
        async with self._connection.transaction():
            if file:
                await self._delete(batch, file.events)
                await self._record(batch, file)
            await self._connection.executemany(
                "INSERT INTO log.archiving (service, position, rule) VALUES ($1, $2, $3)"
                " ON CONFLICT (service) DO UPDATE SET position = excluded.position, rule = excluded.rule",
                [(service, position, repr(self._finished[service])) for service, position in batch.reached.items()],
            )
        if file:
            log("events archived", file=file.name, events=file.events, streams=len(batch.streams))
        return file.events if file else 0

    async def _written(self, batch: _Batch) -> ArchiveFile:
        """The file, after it was read again: ZerocartError if it does not contain exactly the events."""
        digest = _Digest()
        async with self._connection.transaction():
            file = await write_archive(self._folder, digest.of(self._events(batch)))
        if _digest_of_file(self._folder / file.name) != (digest.hexdigest(), file.events):
            raise ZerocartError("archive-damaged", f"{file.name} differs from what was written: check the disk")
        return file

    async def _events(self, batch: _Batch) -> AsyncGenerator[RecordedEvent]:
        cursor = self._connection.cursor(statement("archive_events"), *batch.columns, prefetch=FETCH_EVENTS_MAX)
        async for row in cursor:
            yield recorded([row])[0]

    async def _delete(self, batch: _Batch, expected: int) -> None:
        deleted = 0
        for service in dict.fromkeys(batch.services):
            chosen = [row for row in zip(*batch.columns, strict=True) if row[0] == service]
            place = [stream for _, stream, _ in chosen], [version for _, _, version in chosen]
            await self._connection.execute(f"SET search_path = {service}")
            if keep := self._finished[service].keep:
                await self._connection.execute(keep, *place)
            status = await self._connection.execute(
                "DELETE FROM events AS e USING unnest($1::text[], $2::integer[]) AS w (stream, version)"
                " WHERE e.stream = w.stream AND e.version <= w.version",
                *place,
            )
            deleted += int(status.split()[1])
        if deleted != expected:
            raise ZerocartError("archive-raced", f"{deleted} events were there instead of {expected}: archive again")

    async def _record(self, batch: _Batch, file: ArchiveFile) -> None:
        archive: int = await self._connection.fetchval(
            "INSERT INTO log.archives (file, first_position, last_position, events, bytes, sha256)"
            " VALUES ($1, $2, $3, $4, $5, $6) RETURNING archive",
            file.name, file.first_position, file.last_position, file.events, file.bytes, file.sha256,
        )  # fmt: skip
        await self._connection.copy_records_to_table(
            "archived_streams",
            schema_name="log",
            columns=("archive", "service", "stream", "last_version", "members"),
            records=[
                (archive, service, stream, version, file.members[service, stream])
                for service, stream, version in zip(*batch.columns, strict=True)
            ],
        )


async def check(connection: Connection, folder: Path) -> list[str]:
    """The faults of the files that the event store needs: missing files, and files that changed."""
    rows = await connection.fetch("SELECT file, sha256 FROM log.archives ORDER BY file")
    return [f"{row['file']}: {fault}" for row in rows if (fault := _fault(folder / row["file"], row["sha256"]))]


async def restore(connection: Connection, folder: Path, file: str) -> int:
    """Move the events of a file back to the event store; their number. The file stays: a recovery may need it again.

    ZerocartError if no archive has this file, or if the file is missing or changed.
    """
    await _alone(connection)
    row = await connection.fetchrow("SELECT archive, sha256 FROM log.archives WHERE file = $1", file)
    fault = _fault(folder / file, row["sha256"]) if row else "not recorded in the event store"
    if row is None or fault:
        raise ZerocartError("not-restored", f"the archive {file} cannot be restored: {fault}")
    async with connection.transaction():
        restored = 0
        for events in _members(folder / file):
            await _insert(connection, events)
            restored += len(events)
        await connection.execute("DELETE FROM log.archives WHERE archive = $1", row["archive"])
        await connection.execute("DELETE FROM log.archiving")  # the next run looks at all streams again
    return restored


async def _alone(connection: Connection) -> None:
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        raise ZerocartError("archiving-already", "another process moves events to or from archives: wait until it ends")


async def _insert(connection: Connection, events: Sequence[RecordedEvent]) -> None:
    await connection.executemany(
        "INSERT INTO log.events (service, stream, version, position, type, time, data, meta)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7::text::json, $8::text::json)",
        events,
    )


def _members(path: Path) -> Iterator[list[RecordedEvent]]:
    offset = 0
    while True:
        events, offset = read_member(path, offset)
        if not events:
            return
        yield events


def _fault(path: Path, sha256: str) -> str:
    if not path.is_file():
        return f"missing in {path.parent}"
    return "" if sha256_of(path) == sha256 else "not the file that was written: its checksum differs"


class _Digest:
    """The checksum of events that pass."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, event: RecordedEvent) -> None:
        self._hash.update(repr(event).encode())

    def hexdigest(self) -> str:
        return self._hash.hexdigest()

    async def of(self, events: AsyncIterable[RecordedEvent]) -> AsyncGenerator[RecordedEvent]:
        async for event in events:
            self.add(event)
            yield event


def _digest_of_file(path: Path) -> tuple[str, int]:
    digest, count = _Digest(), 0
    for events in _members(path):
        for event in events:
            digest.add(event)
        count += len(events)
    return digest.hexdigest(), count
