"""Between the log's records and the arrays and rows of its SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from services.kit.log import Append, Appended, Conflict, Duplicate, Mark, OutboxRow, Position, Recorded, Result
from services.kit.postgres import statement

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["append_once", "find_marks", "outbox_rows", "recorded"]


async def append_once(connection: Connection, appends: Sequence[Append]) -> list[Result]:
    """Append a batch in which no stream and no mark is there twice."""
    rows = await connection.fetch(statement("append"), *_arrays(appends))
    done = {row["stream"]: row for row in rows}
    left = [append.mark.key for append in appends if append.mark and append.stream not in done]
    repeated = await find_marks(connection, left) if left else {}
    return [_result(append, done.get(append.stream), repeated) for append in appends]


async def find_marks(connection: Connection, keys: Sequence[str]) -> dict[str, Duplicate]:
    """What was appended under these keys, by key."""
    rows = await connection.fetch(statement("marks"), keys)
    return {
        row["key"]: Duplicate(
            Mark(row["key"], row["fingerprint"], row["answer"]),
            row["stream"],
            row["version"],
            Position(row["epoch"], row["transaction_id"], row["position"]),
        )
        for row in rows
    }


def recorded(rows: Iterable[Iterable[Any]]) -> list[Recorded]:
    """Rows of ten columns, as `read_stream.sql` has them."""
    return [
        Recorded(service, stream, version, Position(epoch, transaction, number), type_, time, data, meta)
        for service, stream, version, epoch, transaction, number, type_, time, data, meta in rows
    ]


def outbox_rows(rows: Sequence[Record]) -> list[tuple[OutboxRow, list[Recorded]]]:
    """The rows of `outbox_pending.sql`, put together."""
    return [
        (OutboxRow(service, stream, first, last), recorded([row[2:] for row in events]))
        for (service, stream, first, last), events in groupby(rows, _outbox_row)
    ]


def _outbox_row(row: Record) -> tuple[str, str, int, int]:
    return row["service"], row["stream"], row["first_version"], row["last_version"]


def _result(append: Append, row: Record | None, repeated: dict[str, Duplicate]) -> Result:
    if row is not None:
        epoch, transaction = row["epoch"], row["transaction_id"]
        positions = tuple(Position(epoch, transaction, number) for number in sorted(row["positions"]))
        return Appended(append.expected_version + len(positions), positions, row["backlog"])
    if append.mark and append.mark.key in repeated:
        return repeated[append.mark.key]
    return Conflict()


def _arrays(appends: Sequence[Append]) -> tuple[list[object], ...]:
    marks = [append.mark for append in appends]
    events = [
        (append.stream, version, event)
        for append in appends
        for version, event in enumerate(append.events, append.expected_version + 1)
    ]
    return (
        [append.stream for append in appends],
        [append.expected_version for append in appends],
        [len(append.events) for append in appends],
        [mark and mark.key for mark in marks],
        [mark.fingerprint if mark else "" for mark in marks],
        [mark.answer if mark else "" for mark in marks],
        [stream for stream, _, _ in events],
        [version for _, version, _ in events],
        [event.type for _, _, event in events],
        [event.time for _, _, event in events],
        [event.data for _, _, event in events],
        [event.meta for _, _, event in events],
    )
