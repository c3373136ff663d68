"""The topic on Kafka: one reader for all groups, one idle consumer per group that only fetches and commits offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol, cast

from tools.knative_local.delivery.events import Record
from tools.knative_local.delivery.topic import Bounds, Reader

__all__ = ["KafkaTopic", "TopicMissingError"]

READ_WAIT_MS = 5_000
FETCH_WAIT_MS = 500
"""Short, because aiokafka has one fetch open per broker: while that waits for partitions at their end, a partition
that was drained more than 0.1 s after its last fetch gets nothing. New records end the wait at once for the partitions
that it names. Each fetch in a second costs Kafka and delivery together 0.2 % of a core (docs/performance.md)."""
PARTITION_FETCH_BYTES_MAX = 262_144
READ_RECORDS_MAX = 2_000
MESSAGE_BYTES_MAX = 1_000_000
METADATA_SECONDS_MAX = 5.0
"""After which a new partition, or a topic that was made again, is known."""
GROUP_METADATA_SECONDS_MAX = 300.0
"""The consumer of a group only commits offsets, and gets the partitions from the watcher. If it fetched metadata every
few seconds, the consumers of all groups together would take several percent of a core of an idle Kafka."""
BOUNDS_SECONDS_MAX = 10.0
"""After which the watcher looks at the topic again: aiokafka asks for ever for a partition that is gone."""


class TopicMissingError(Exception):
    """The topic does not exist, or no broker answers; a Broker on an external topic never creates it."""


class _Partition(Protocol):
    topic: str
    partition: int


class _Message(Protocol):
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class _Consumer(Protocol):  # the methods of aiokafka that are used here; aiokafka has no types
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def assign(self, partitions: Sequence[_Partition]) -> None: ...
    def assignment(self) -> frozenset[_Partition]: ...
    def seek(self, partition: _Partition, offset: int) -> None: ...
    def pause(self, *partitions: _Partition) -> None: ...
    def highwater(self, partition: _Partition) -> int | None: ...
    async def committed(self, partition: _Partition) -> int | None: ...
    async def commit(self, offsets: Mapping[_Partition, int]) -> None: ...
    def partitions_for_topic(self, topic: str) -> Set[int] | None: ...
    async def beginning_offsets(self, partitions: Sequence[_Partition]) -> Mapping[_Partition, int]: ...
    async def end_offsets(self, partitions: Sequence[_Partition]) -> Mapping[_Partition, int]: ...
    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[_Partition, Sequence[_Message]]: ...


class _Producer(Protocol):
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def send_and_wait(
        self, topic: str, value: bytes | None, key: bytes | None, *, headers: Sequence[tuple[str, bytes]]
    ) -> object: ...


class KafkaTopic:
    """A topic; groups are assigned all partitions by hand, so nothing ever rebalances."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._servers = bootstrap_servers
        self._topic = topic
        self._partitions: Sequence[_Partition] = ()
        self._groups: dict[str, _Consumer] = {}
        self._readers: set[_KafkaReader] = set()
        self._producer: _Producer | None = None
        self._producer_starting = asyncio.Lock()
        self._ends: dict[int, int] = {}
        self._watcher: _Consumer | None = None

    async def start(self, groups: Sequence[str]) -> None:
        """Connect one consumer per group; TopicMissingError if there is no such topic."""
        self._partitions = await self._discovered()
        consumers = await asyncio.gather(*(self._assigned(group) for group in groups))
        for group, consumer in zip(groups, consumers, strict=True):
            self._groups[group] = consumer

    async def stop(self) -> None:
        """Close all connections."""
        for reader in list(self._readers):
            await reader.close()
        consumers = (*self._groups.values(), *([self._watcher] if self._watcher else []))
        await asyncio.gather(*(consumer.stop() for consumer in consumers))
        if self._producer is not None:
            await self._producer.stop()

    async def positions(self, group: str) -> Mapping[int, int]:
        """What the group committed, as far as the topic has it, else the beginning."""
        consumer = self._groups[group]
        bounds = await self._bounds_of(consumer, self._partitions)
        return {
            partition.partition: bounds[partition.partition].place(await consumer.committed(partition) or 0)
            for partition in self._partitions
        }

    async def bounds(self) -> Mapping[int, Bounds]:
        """The partitions of the latest metadata, which is METADATA_SECONDS_MAX old at most."""
        if self._watcher is None:
            self._watcher = await self._assigned(None)
        partitions = _partitions(self._topic, self._watcher.partitions_for_topic(self._topic) or ())
        async with asyncio.timeout(BOUNDS_SECONDS_MAX):
            return await self._bounds_of(self._watcher, partitions)

    def follow(self, partitions: Iterable[int]) -> None:
        """Assign these partitions to every group; records of other partitions that were read are dropped."""
        self._partitions = _partitions(self._topic, partitions)
        self._ends.clear()
        for consumer in (*self._groups.values(), *([self._watcher] if self._watcher else [])):
            consumer.assign(self._partitions)
            consumer.pause(*self._partitions)

    async def commit(self, group: str, offsets: Mapping[int, int]) -> None:
        """Commit a group's offsets."""
        places = {partition: offsets[partition.partition] for partition in self._partitions}
        await self._groups[group].commit(places)

    async def reader(self, positions: Mapping[int, int]) -> Reader:
        """A consumer without a group, at these positions."""
        consumer = self._new_consumer(None)
        await consumer.start()
        consumer.assign(self._partitions)
        for partition in self._partitions:
            consumer.seek(partition, positions[partition.partition])
        reader = _KafkaReader(consumer, self._ends, self._readers)
        self._readers.add(reader)
        return reader

    async def produce(self, key: bytes | None, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        """Append a record, acknowledged by all replicas."""
        producer = await self._started_producer()
        await producer.send_and_wait(self._topic, value, key, headers=list(headers))

    def ends(self) -> Mapping[int, int]:
        """The end of each partition as of the last fetch."""
        return self._ends

    async def _discovered(self) -> Sequence[_Partition]:
        consumer = self._new_consumer(None, self._topic)
        try:
            await consumer.start()
            partitions = sorted(consumer.assignment(), key=lambda one: one.partition)
        finally:
            await consumer.stop()
        if not partitions:
            raise TopicMissingError(f"there is no topic {self._topic}")
        return partitions

    async def _bounds_of(self, consumer: _Consumer, partitions: Sequence[_Partition]) -> Mapping[int, Bounds]:
        first, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        return {each.partition: Bounds(first[each], end[each]) for each in partitions}

    async def _assigned(self, group: str | None) -> _Consumer:
        consumer = self._new_consumer(group)
        await consumer.start()
        consumer.assign(self._partitions)
        consumer.pause(*self._partitions)  # before it ever fetches: it is there for offsets and metadata only
        return consumer

    def _new_consumer(self, group: str | None, *topics: str) -> _Consumer:
        from aiokafka import AIOKafkaConsumer  # pyright: ignore[reportMissingTypeStubs]

        metadata_seconds = GROUP_METADATA_SECONDS_MAX if group else METADATA_SECONDS_MAX
        consumer: object = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=int(metadata_seconds * 1000),
            max_partition_fetch_bytes=PARTITION_FETCH_BYTES_MAX,
        )
        return cast("_Consumer", consumer)

    async def _started_producer(self) -> _Producer:
        from aiokafka import AIOKafkaProducer  # pyright: ignore[reportMissingTypeStubs]

        async with self._producer_starting:
            if self._producer is None:
                created: object = AIOKafkaProducer(
                    bootstrap_servers=self._servers, acks="all", max_request_size=MESSAGE_BYTES_MAX
                )
                producer = cast("_Producer", created)
                await producer.start()
                self._producer = producer
        return self._producer


class _KafkaReader:
    def __init__(self, consumer: _Consumer, ends: dict[int, int], owner: set[_KafkaReader]) -> None:
        self._consumer = consumer
        self._ends = ends
        self._owner = owner

    async def read(self) -> Sequence[Record]:
        """The next records of all partitions."""
        batches = await self._consumer.getmany(timeout_ms=READ_WAIT_MS, max_records=READ_RECORDS_MAX)
        records: list[Record] = []
        for partition, batch in batches.items():
            number = partition.partition
            records += [Record(number, one.offset, one.key, one.headers, one.value) for one in batch]
            known = self._consumer.highwater(partition) or batch[-1].offset + 1
            self._ends[number] = max(known, self._ends.get(number, 0))
        return records

    async def close(self) -> None:
        """Disconnect."""
        self._owner.discard(self)
        await self._consumer.stop()


def _partitions(topic: str, numbers: Iterable[int]) -> Sequence[_Partition]:
    from aiokafka import TopicPartition

    return [cast("_Partition", TopicPartition(topic, number)) for number in sorted(numbers)]
