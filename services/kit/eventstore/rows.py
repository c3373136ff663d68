"""Converts appends to the parameters of the SQL, and its rows to events and results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import groupby
from typing import TYPE_CHECKING, Any

from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.archive import ArchivedPart
from services.kit.eventstore.connections import statement
from services.kit.eventstore.port import (
    Append,
    Appended,
    Conflict,
    Duplicate,
    Mark,
    OutboxRow,
    Position,
    RecordedEvent,
    Result,
)

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["append_once", "find_marks", "outbox_rows", "recorded", "split"]

SEPARATOR = "\x1f"
ROWS_ONLY, KEYS_ONLY = (re.compile(rf" *-- {part} \{{.*?-- {part} \}}\n", re.DOTALL) for part in ("rows", "keys"))
"""The parts of `append.sql` that compare rows, and that store keys of persons."""
NO_MARK = Mark("")


async def append_once(connection: Connection, appends: Sequence[Append]) -> list[Result]:
    """Append a batch in which no stream, no mark and no person with a new key occurs twice."""
    keys = [(append.stream, *key) for append in appends for key in append.keys.items()]
    reads = [(append.stream, key, str(version)) for append in appends for key, version in append.reads.items()]
    arguments = _arguments(appends)
    if reads or keys:
        arguments += _columns(reads, 3)
    if keys:
        arguments += _columns(keys, 3)
    rows = await connection.fetch(_append_statement(bool(reads or keys), bool(keys)), *arguments)
    done = {row["stream"]: row for row in rows}
    left = [append.mark.key for append in appends if append.mark and append.stream not in done]
    repeated = await find_marks(connection, left) if left else {}
    return [_result(append, done.get(append.stream), repeated) for append in appends]


async def find_marks(connection: Connection, keys: Sequence[str]) -> dict[str, Duplicate]:
    """The appends with these inbox marks, by key."""
    rows = await connection.fetch(statement("marks"), keys)
    return {
        row["key"]: Duplicate(
            Mark(row["key"], row["fingerprint"], row["answer"]),
            row["stream"],
            row["version"],
            Position(row["position"]),
        )
        for row in rows
    }


def recorded(rows: Iterable[Iterable[Any]]) -> list[RecordedEvent]:
    """The events in rows of eight columns, as `read_stream.sql` returns them."""
    event = RecordedEvent._make  # half the time of the constructor, which reads by keyword
    return [
        event((service, stream, version, Position(position), kind, time, data, meta))
        for service, stream, version, position, kind, time, data, meta in rows
    ]


def split(rows: Sequence[Record]) -> tuple[list[RecordedEvent], list[ArchivedPart]]:
    """The events, and the parts of archives, in rows as `read_stream.sql` returns them: those of archives come last."""
    events = list(rows)
    parts: list[ArchivedPart] = []
    while events and events[-1]["position"] is None:
        service, file, _, _, stream, _, members, _ = events.pop()
        parts.append(ArchivedPart(service, stream, file, members))
    return recorded(events), parts


def outbox_rows(rows: Sequence[Record]) -> list[tuple[OutboxRow, list[RecordedEvent]]]:
    """The rows of `outbox.sql`, grouped by outbox row."""
    return [
        (OutboxRow(service, stream, first, last), recorded([row[2:] for row in events]))
        for (service, stream, first, last), events in groupby(rows, _outbox_row)
    ]


def _outbox_row(row: Record) -> tuple[str, str, int, int]:
    return row["service"], row["stream"], row["first_version"], row["last_version"]


def _result(append: Append, row: Record | None, repeated: dict[str, Duplicate]) -> Result:
    if row is not None:
        positions = tuple(map(Position, sorted(map(int, row["positions"].split()))))
        return Appended(append.expected_version + len(positions), positions, row["backlog"])
    if append.mark and append.mark.key in repeated:
        return repeated[append.mark.key]
    return Conflict()


@cache
def _append_statement(with_rows: bool, with_keys: bool) -> str:
    """`append.sql`; without its parts for keys unless it stores some, because few services may."""
    whole = statement("append")
    with_rows_only = whole if with_keys else KEYS_ONLY.sub("", whole)
    return with_rows_only if with_rows else ROWS_ONLY.sub("", with_rows_only)


def _arguments(appends: Sequence[Append]) -> list[str]:
    """The first twelve parameters of `append.sql`; ZerocartError if a text contains the separator."""
    marks = [append.mark or NO_MARK for append in appends]
    events = [
        (append.stream, str(version), event)
        for append in appends
        for version, event in enumerate(append.events, append.expected_version + 1)
    ]
    times = {event.time: "" for _, _, event in events}  # the events of an append usually have the same time
    for time in times:
        times[time] = time.isoformat()
    return [
        _joined([append.stream for append in appends]),
        _joined([str(append.expected_version) for append in appends]),
        _joined([str(len(append.events)) for append in appends]),
        _joined([mark.key for mark in marks]),
        _joined([mark.fingerprint for mark in marks]),
        _joined([mark.answer for mark in marks]),
        _joined([stream for stream, _, _ in events]),
        _joined([version for _, version, _ in events]),
        _joined([event.type for _, _, event in events]),
        _joined([times[event.time] for _, _, event in events]),
        _joined([event.data for _, _, event in events]),
        _joined([event.meta for _, _, event in events]),
    ]


def _columns(rows: Sequence[Sequence[str]], count: int) -> list[str]:
    """A parameter for each column of these rows."""
    return [_joined([row[column] for row in rows]) if rows else "" for column in range(count)]


def _joined(texts: Sequence[str]) -> str:
    joined = SEPARATOR.join(texts)
    if joined.count(SEPARATOR) != len(texts) - 1:
        raise ZerocartError("bad-append", "an event contains the control character U+001F, which cannot be stored")
    return joined
