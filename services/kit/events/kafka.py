"""The publisher on Kafka: idempotent aiokafka producer, acks=all, no transactions (the Broker reads uncommitted)."""

# aiokafka comes without types: what crosses this module's borders is typed by hand.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from services.kit.config.kafka_security import KafkaSecurity, plaintext
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import RecordedEvent
from services.kit.telemetry.tracing import span
from services.kit.wire.cloudevents import kafka_headers

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

__all__ = ["KafkaPublisher", "partition_of"]

CONNECT_TIMEOUT_SECONDS = 3.0
PUBLISH_TIMEOUT_SECONDS = 5.0
PROBE_TIMEOUT_SECONDS = 1.0
TRUSTED_SECONDS = 2.0
"""How long after an acknowledgement the broker counts as available without a check."""
MESSAGE_BYTES_MAX = 1_000_000
KEYS_REMEMBERED_MAX = 1_024


class KafkaPublisher:
    """Publishes events to one topic; connects on first use."""

    def __init__(self, bootstrap_servers: str, topic: str, security: KafkaSecurity = plaintext) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._security = security
        self._topic = topic
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()
        self._acknowledged_at = -TRUSTED_SECONDS

    async def ensure_available(self) -> None:
        """Return if the broker acknowledged a message lately or answers now; else Unavailable."""
        producer = await self._started()
        if time.monotonic() - self._acknowledged_at < TRUSTED_SECONDS:
            return
        try:
            answered = await asyncio.wait_for(producer.client.force_metadata_update(), PROBE_TIMEOUT_SECONDS)
        except (TimeoutError, OSError) as error:
            raise _away() from error
        if not answered:
            raise _away()
        self._acknowledged_at = time.monotonic()

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        """Publish in this order; Unavailable if the broker did not acknowledge all."""
        messages = [
            (*kafka_headers(event), event.data.encode(), int(event.time.timestamp() * 1000)) for event in events
        ]
        with span(f"publish {self._topic}", "producer") as publishing:
            publishing.set("messaging.system", "kafka")
            publishing.set("messaging.destination.name", self._topic)
            publishing.set("messaging.batch.message_count", len(messages))
            await self._publish(messages)

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        """Publish a CloudEvent again as it was; Unavailable if the broker did not acknowledge it."""
        names = [name for name in attributes if name != "datacontenttype"]
        headers = [(f"ce_{name}", attributes[name].encode("latin-1", "replace")) for name in names]
        headers.append(("content-type", attributes.get("datacontenttype", "application/json").encode()))
        await self._publish([(key, headers, data, int(time.time() * 1000))])

    async def _publish(self, messages: Sequence[tuple[str, list[tuple[str, bytes]], bytes, int]]) -> None:
        from aiokafka.errors import KafkaError

        producer = await self._started()
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_SECONDS):
                waiting = [
                    await producer.send(
                        self._topic, value=data, key=key.encode() or None, headers=headers, timestamp_ms=at_ms
                    )
                    for key, headers, data, at_ms in messages
                ]
                await asyncio.gather(*waiting)
        except (KafkaError, TimeoutError, OSError) as error:
            # a producer that lost a batch cannot be trusted with the sequence numbers of the next
            self._acknowledged_at = -TRUSTED_SECONDS
            await self._discard(producer)
            raise _away() from error
        self._acknowledged_at = time.monotonic()

    async def close(self) -> None:
        """Disconnect."""
        if self._producer is not None:
            await self._discard(self._producer)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        async with self._starting:
            if self._producer is None:
                self._producer = await self._start()
            return self._producer

    async def _start(self) -> AIOKafkaProducer:
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap_servers,
            acks="all",
            enable_idempotence=True,
            request_timeout_ms=int(PUBLISH_TIMEOUT_SECONDS * 1000),
            max_request_size=MESSAGE_BYTES_MAX,
            partitioner=partition_of,
            **self._security(),
        )
        try:
            await asyncio.wait_for(producer.start(), CONNECT_TIMEOUT_SECONDS)
        except (KafkaError, TimeoutError, OSError) as error:
            await self._stop(producer)
            raise _away() from error
        return producer

    async def _discard(self, producer: AIOKafkaProducer) -> None:
        if self._producer is producer:
            self._producer = None
        await self._stop(producer)

    async def _stop(self, producer: AIOKafkaProducer) -> None:
        from aiokafka.errors import KafkaError

        try:
            await asyncio.wait_for(producer.stop(), CONNECT_TIMEOUT_SECONDS)
        except (KafkaError, TimeoutError, OSError):
            return  # Kafka cannot be reached, so no connection is left to close


def partition_of(key: bytes | None, partitions: Sequence[int], available: Sequence[int]) -> int:
    """The partition of a key, as every client of Kafka chooses it."""
    return random.choice(available or partitions) if key is None else partitions[_hash(key) % len(partitions)]  # noqa: S311


@lru_cache(KEYS_REMEMBERED_MAX)
def _hash(key: bytes) -> int:
    # aiokafka computes this hash in Python, and most keys come several times: they are those of orders
    from aiokafka.partitioner import murmur2

    return int(murmur2(key)) & 0x7FFFFFFF


def _away() -> Unavailable:
    return Unavailable("broker-away", "Kafka cannot be reached. Send the request again.", retry_after_seconds=2)
