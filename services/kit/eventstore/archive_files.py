"""The files of archived events: gzip members of JSON lines, one line for each event (docs/archive.md)."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import Position, RecordedEvent

__all__ = [
    "MEMBER_EVENTS_MAX", "ArchiveFile", "archive_unreadable", "bounds_of", "event_of", "line_of", "read_member",
    "sha256_of", "write_archive",
]  # fmt: skip

MEMBER_EVENTS_MAX = 250
"""A reader of one stream decompresses only the members that contain it."""
CHUNK_BYTES = 65_536
GZIP = 16 + zlib.MAX_WBITS
RETRY_AFTER_SECONDS = 60
PART = ".part"

StreamKey = tuple[str, str]
"""Service and stream."""


@dataclass(slots=True)
class ArchiveFile:
    """A file that was written: its events and the places of their streams."""

    name: str = ""
    sha256: str = ""
    bytes: int = 0
    events: int = 0
    first_position: int = 0
    last_position: int = 0
    members: dict[StreamKey, list[int]] = field(default_factory=dict[StreamKey, list[int]])
    """Where the members begin that contain events of a stream."""


def line_of(event: RecordedEvent) -> bytes:
    """The line of an event. `data` and `meta` stay as they are; a tab, which no JSON text needs, precedes each."""
    head = {
        "position": int(event.position),
        "time": event.time.isoformat(),
        "service": event.service,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
    }
    return f'{json.dumps(head, ensure_ascii=False)[:-1]},\t"data": {event.data},\t"meta": {event.meta}}}\n'.encode()


def event_of(line: str) -> RecordedEvent:
    """The event of a line."""
    head, data, meta = line.split("\t")
    fields = json.loads(head[:-1] + "}")
    return RecordedEvent(
        fields["service"],
        fields["stream"],
        fields["version"],
        Position(fields["position"]),
        fields["type"],
        datetime.fromisoformat(fields["time"]),
        data[len('"data": ') : -1],
        meta[len('"meta": ') : -1],
    )


async def write_archive(folder: Path, events: AsyncIterable[RecordedEvent]) -> ArchiveFile:
    """Write a file with these events, which come in the order of their positions, to the disk; one process at a time.

    Its name contains the positions and the checksum, so a file is never overwritten by another one.
    """
    part = folder / f"archive{PART}"
    written, member = ArchiveFile(), list[RecordedEvent]()
    with part.open("wb") as file:
        async for event in events:
            member.append(event)
            if len(member) == MEMBER_EVENTS_MAX:
                _write_member(file, written, member)
        _write_member(file, written, member)
        file.flush()
        os.fsync(file.fileno())
    written.sha256, written.bytes = sha256_of(part), part.stat().st_size
    written.name = (
        f"{Position(written.first_position)}-{Position(written.last_position)}-{written.sha256[:12]}.jsonl.gz"
    )
    part.replace(folder / written.name)
    _sync(folder)
    return written


def bounds_of(name: str) -> tuple[Position, Position]:
    """The first and the last position of the events in the file with this name."""
    first, last, _ = name.split("-")
    return Position.parse(first), Position.parse(last)


def read_member(path: Path, offset: int) -> tuple[list[RecordedEvent], int]:
    """The events of the member that begins at `offset`, and where the next member begins; no events at the end.

    Unavailable if the file cannot be read.
    """
    try:
        text, after = _decompressed(path, offset)
    except (OSError, zlib.error, EOFError) as error:
        raise archive_unreadable(path, error) from error
    return [event_of(line) for line in text.decode().split("\n")[:-1]], after


def archive_unreadable(path: Path, error: Exception) -> Unavailable:
    """The error for a file that is missing or damaged."""
    return Unavailable(
        "archive-unreadable",
        f"the archive {path.name} cannot be read from the folder {str(path.parent)!r} ({error}):"
        " mount the folder of the archives, and name it in ZEROCART_ARCHIVE",
        RETRY_AFTER_SECONDS,
    )


def sha256_of(path: Path) -> str:
    """The checksum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_member(file: BinaryIO, written: ArchiveFile, member: list[RecordedEvent]) -> None:
    if not member:
        return
    offset = file.tell()
    for event in member:
        members = written.members.setdefault((event.service, event.stream), [])
        if members[-1:] != [offset]:
            members.append(offset)
    file.write(zlib.compress(b"".join(map(line_of, member)), wbits=GZIP))
    written.first_position = written.first_position or member[0].position
    written.last_position = member[-1].position
    written.events += len(member)
    member.clear()


def _decompressed(path: Path, offset: int) -> tuple[bytes, int]:
    text, inflate = bytearray(), zlib.decompressobj(GZIP)
    with path.open("rb") as file:
        file.seek(offset)
        while not inflate.eof and (chunk := file.read(CHUNK_BYTES)):
            text += inflate.decompress(chunk)
        if not inflate.eof and file.tell() > offset:
            raise EOFError("the file ends in the middle")
        return bytes(text), file.tell() - len(inflate.unused_data)


def _sync(folder: Path) -> None:
    """Make the new name of a file in this folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
