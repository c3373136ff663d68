"""The port to the topic that a dispatcher reads, and the topic in memory, for tests and trials."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from tools.knative_local.delivery.events import Record

__all__ = ["Bounds", "MemoryTopic", "Reader", "Topic"]


class Reader(Protocol):
    """Reads every partition on from given positions."""

    async def read(self) -> Sequence[Record]:
        """The next records, waiting until there are some; per partition in order."""
        ...

    async def close(self) -> None:
        """Stop reading."""
        ...


class Bounds(NamedTuple):
    """The first offset that a partition still has, and the one that its next record gets."""

    first: int
    end: int

    def place(self, offset: int) -> int:
        """Where a group continues that was at `offset`.

        Below the first: the topic's retention was faster than the group. Above the end: the topic was deleted and made
        again, so nothing of it was delivered yet.
        """
        return self.first if offset > self.end else max(offset, self.first)


class Topic(Protocol):
    """A topic and the offsets that groups committed in it."""

    async def start(self, groups: Sequence[str]) -> None:
        """Connect."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...

    async def positions(self, group: str) -> Mapping[int, int]:
        """Where a group continues in each partition: at its committed offset, or at the beginning."""
        ...

    async def commit(self, group: str, offsets: Mapping[int, int]) -> None:
        """Remember that a group is done with everything below these offsets."""
        ...

    async def reader(self, positions: Mapping[int, int]) -> Reader:
        """A new reader from these positions."""
        ...

    async def produce(self, key: bytes | None, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        """Append a record, durably."""
        ...

    def ends(self) -> Mapping[int, int]:
        """The end of each partition as far as it is known without asking."""
        ...

    async def bounds(self) -> Mapping[int, Bounds]:
        """The partitions that exist now; none while there is no topic."""
        ...

    def follow(self, partitions: Iterable[int]) -> None:
        """Read and commit these partitions from now on."""
        ...


class MemoryTopic:
    """A topic of one partition in memory."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.committed: dict[str, dict[int, int]] = {}
        self._grown = asyncio.Event()

    def append(self, key: bytes | None, headers: Sequence[tuple[str, bytes | None]], value: bytes | None) -> None:
        """Append a record, null headers included."""
        self.records.append(Record(0, len(self.records), key, headers, value))
        self._grown.set()

    async def start(self, groups: Sequence[str]) -> None:
        """Nothing to connect to."""

    async def stop(self) -> None:
        """Nothing to disconnect from."""

    async def positions(self, group: str) -> Mapping[int, int]:
        """Where a group continues in each partition."""
        return self.committed.get(group, {0: 0})

    async def commit(self, group: str, offsets: Mapping[int, int]) -> None:
        """Remember a group's offsets."""
        self.committed[group] = dict(offsets)

    async def reader(self, positions: Mapping[int, int]) -> Reader:
        """A new reader."""
        return _MemoryReader(self, positions[0])

    async def produce(self, key: bytes | None, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        """Append a record."""
        self.append(key, headers, value)

    def ends(self) -> Mapping[int, int]:
        """The end of the partition."""
        return {0: len(self.records)}

    async def bounds(self) -> Mapping[int, Bounds]:
        """The partition, from its first record."""
        return {0: Bounds(0, len(self.records))}

    def follow(self, partitions: Iterable[int]) -> None:
        """There is one partition, and no more."""

    async def from_offset(self, offset: int) -> Sequence[Record]:
        """The records from an offset on, waiting until there are some."""
        while len(self.records) <= offset:
            self._grown.clear()
            await self._grown.wait()
        return self.records[offset:]


class _MemoryReader:
    def __init__(self, topic: MemoryTopic, offset: int) -> None:
        self._topic = topic
        self._offset = offset

    async def read(self) -> Sequence[Record]:
        """The next records."""
        records = await self._topic.from_offset(self._offset)
        self._offset += len(records)
        return records

    async def close(self) -> None:
        """Nothing to close."""
