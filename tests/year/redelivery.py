"""Delivers the topic again from its start: it sets back the consumer groups of the Triggers while the cluster is down."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from tools.knative_local.kafka import KafkaServer
from tools.knative_local.state import Running

__all__ = ["caught_up", "rewind"]

POLL_SECONDS = 1.0


def rewind(home: Path, topic: str, groups: Iterable[str]) -> int:
    """Set groups of a cluster that is down back to the beginning; how many events each will get again.

    The groups were asked for before: a broker that has just started does not list them yet.
    """
    kafka = KafkaServer(home / "kafka")
    kafka.start()
    try:
        return asyncio.run(_rewind(kafka.bootstrap_servers, topic, groups))
    finally:
        kafka.stop()


async def _rewind(servers: str, topic: str, groups: Iterable[str]) -> int:
    ends: dict[TopicPartition, int] = {}
    for group in groups:
        consumer = await _member(servers, topic, group)
        try:
            partitions = consumer.assignment()
            beginnings, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
            assert set(beginnings.values()) == {0}, "the topic has lost its beginning"
            await consumer.commit(dict.fromkeys(partitions, 0))
            assert [await consumer.committed(partition) for partition in partitions] == [0] * len(partitions)
        finally:
            await consumer.stop()
    return sum(ends.values())


async def caught_up(running: Running, seconds_max: float) -> dict[str, int]:
    """Wait until every group has received all events; returns the number of events of each group."""
    deadline = time.monotonic() + seconds_max
    while True:
        behind, done = await _positions(running)
        if not behind:
            return done
        assert time.monotonic() < deadline, f"{behind} events are still to be delivered after {seconds_max:.0f} s"
        await asyncio.sleep(POLL_SECONDS)


async def _positions(running: Running) -> tuple[int, dict[str, int]]:
    behind, done = 0, dict[str, int]()
    for group in await _groups(running.bootstrap_servers):
        consumer = await _member(running.bootstrap_servers, running.topic, group)
        try:
            ends = await consumer.end_offsets(consumer.assignment())
            committed = [await consumer.committed(partition) or 0 for partition in ends]
        finally:
            await consumer.stop()
        behind += sum(ends.values()) - sum(committed)
        done[group] = sum(committed)
    return behind, done


async def _groups(servers: str) -> Iterable[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        return sorted({group for group, *_ in await admin.list_consumer_groups()})
    finally:
        await admin.close()


async def _member(servers: str, topic: str, group: str) -> AIOKafkaConsumer:
    """A consumer with assigned partitions, as those of the delivery, so that no group is rebalanced."""
    partitions = await _partitions(servers, topic)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    consumer.assign(partitions)
    consumer.pause(*partitions)  # it is there for the offsets only
    return consumer


async def _partitions(servers: str, topic: str) -> list[TopicPartition]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers)
    await consumer.start()
    try:
        return sorted(consumer.assignment())
    finally:
        await consumer.stop()
