"""The topic on Kafka: one reader for all groups, one idle consumer per group that only fetches and commits offsets."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from services.local.delivery.events import Record
from services.local.delivery.topic import Reader

if TYPE_CHECKING:
    from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

__all__ = ["KafkaTopic"]

FETCH_WAIT_MS = 5_000
READ_RECORDS_MAX = 500
MESSAGE_BYTES_MAX = 1_000_000


class KafkaTopic:
    """A topic; groups are assigned all partitions by hand, so nothing ever rebalances."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._servers = bootstrap_servers
        self._topic = topic
        self._groups: dict[str, AIOKafkaConsumer] = {}
        self._readers: set[_KafkaReader] = set()
        self._producer: AIOKafkaProducer | None = None
        self._producer_starting = asyncio.Lock()
        self._ends: dict[int, int] = {}

    async def start(self, groups: Sequence[str]) -> None:
        """Connect one consumer per group."""
        consumers = await asyncio.gather(*(self._consumer(group) for group in groups))
        for group, consumer in zip(groups, consumers, strict=True):
            partitions = await self._assign(consumer)
            consumer.pause(*partitions)  # before it ever fetches: it is there for the offsets only
            self._groups[group] = consumer

    async def stop(self) -> None:
        """Close all connections."""
        for reader in list(self._readers):
            await reader.close()
        await asyncio.gather(*(consumer.stop() for consumer in self._groups.values()))
        if self._producer is not None:
            await self._producer.stop()

    async def positions(self, group: str) -> Mapping[int, int]:
        """What the group committed, else the beginning."""
        consumer = self._groups[group]
        partitions = list(consumer.assignment())
        beginnings = await consumer.beginning_offsets(partitions)
        found: dict[int, int] = {}
        for partition in partitions:
            committed = await consumer.committed(partition)
            found[partition.partition] = beginnings[partition] if committed is None else committed
        return found

    async def commit(self, group: str, offsets: Mapping[int, int]) -> None:
        """Commit a group's offsets."""
        from aiokafka import TopicPartition

        await self._groups[group].commit({TopicPartition(self._topic, one): at for one, at in offsets.items()})

    async def reader(self, positions: Mapping[int, int]) -> Reader:
        """A consumer without a group, at these positions."""
        from aiokafka import TopicPartition

        consumer = await self._consumer(None)
        await self._assign(consumer)
        for partition, position in positions.items():
            consumer.seek(TopicPartition(self._topic, partition), position)
        reader = _KafkaReader(consumer, self._ends, self._readers)
        self._readers.add(reader)
        return reader

    async def produce(self, key: bytes | None, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        """Append a record, acknowledged by all replicas."""
        producer = await self._started_producer()
        await producer.send_and_wait(self._topic, value, key, headers=list(headers))

    def ends(self) -> Mapping[int, int]:
        """The ends that the last fetches told."""
        return self._ends

    async def _consumer(self, group: str | None) -> AIOKafkaConsumer:
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._servers,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=FETCH_WAIT_MS,
        )
        await consumer.start()
        return consumer

    async def _assign(self, consumer: AIOKafkaConsumer) -> Sequence[object]:
        from aiokafka import TopicPartition

        metadata = await consumer._client.fetch_all_metadata()
        numbers = cast("set[int]", metadata.partitions_for_topic(self._topic) or set())
        partitions = [TopicPartition(self._topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        return partitions

    async def _started_producer(self) -> AIOKafkaProducer:
        from aiokafka import AIOKafkaProducer

        async with self._producer_starting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._servers, acks="all", max_request_size=MESSAGE_BYTES_MAX
                )
                await producer.start()
                self._producer = producer
        return self._producer


class _KafkaReader:
    def __init__(self, consumer: AIOKafkaConsumer, ends: dict[int, int], owner: set[_KafkaReader]) -> None:
        self._consumer = consumer
        self._ends = ends
        self._owner = owner

    async def read(self) -> Sequence[Record]:
        """The next records of all partitions."""
        batches = await self._consumer.getmany(timeout_ms=FETCH_WAIT_MS, max_records=READ_RECORDS_MAX)
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
