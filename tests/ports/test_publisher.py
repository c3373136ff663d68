"""The publisher on a real broker: the records on the topic, their order, and the error without a broker."""

from __future__ import annotations

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import DefaultPartitioner

from services.kit.domain.errors import Unavailable
from services.kit.events.kafka import KafkaPublisher, partition_of
from services.kit.eventstore.port import Position, RecordedEvent
from tests.ports.harness import AT
from tools.knative_local.ports import free_port

META = (
    '{"partitionkey": "%s", "subject": "s", "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'
)


def recorded(stream: str, version: int, key: str) -> RecordedEvent:
    place = Position(700 + version)
    return RecordedEvent(
        "orders", stream, version, place, "zerocart.test.said.v1", AT, f'{{"n": {version}}}', META % key
    )


@pytest.fixture
async def publisher(kafka_bootstrap, topic):
    publisher = KafkaPublisher(kafka_bootstrap, topic)
    yield publisher
    await publisher.close()


async def published(bootstrap: str, topic: str, count: int):
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [await consumer.getone() for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_record_is_a_cloud_event_that_the_broker_reads(publisher, kafka_bootstrap, topic):
    await publisher.publish([recorded("order-1", 1, "ord_1")])
    (record,) = await published(kafka_bootstrap, topic, 1)
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"ord_1", b'{"n": 1}')
    assert record.timestamp == int(AT.timestamp() * 1000)
    assert headers["ce_id"] == b"order-1:1"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_source"] == b"/zerocart/orders"
    assert headers["ce_type"] == b"zerocart.test.said.v1"
    assert headers["content-type"] == b"application/json"
    assert headers["traceparent"] == headers["ce_traceparent"]


async def test_the_events_of_a_stream_are_published_in_order(publisher, kafka_bootstrap, topic):
    events = [recorded(f"order-{n % 5}", n // 5 + 1, f"ord_{n % 5}") for n in range(200)]
    for start in range(0, len(events), 40):
        await publisher.publish(events[start : start + 40])
    found: dict[bytes | None, list[bytes | None]] = {}
    for record in await published(kafka_bootstrap, topic, len(events)):
        found.setdefault(record.key, []).append(record.value)
    wanted = [b'{"n": %d}' % version for version in range(1, 41)]
    assert found == {b"ord_%d" % n: wanted for n in range(5)}


@pytest.mark.parametrize("key", [b"ord_1", b"", b"\xff\x00 key", b"p_01m8p1eq6n4wycby50qk0f6ggy"])
def test_the_partition_of_a_key_is_that_of_every_client_of_kafka(key):
    for count in (1, 3, 16):
        partitions = list(range(count))
        assert partition_of(key, partitions, partitions) == DefaultPartitioner()(key, partitions, partitions)


def test_an_event_without_a_key_goes_to_a_partition_that_is_available():
    assert partition_of(None, [0, 1, 2], [2]) == 2


async def test_a_republished_event_is_unchanged(publisher, kafka_bootstrap, topic):
    attributes = {"id": "order-1:1", "type": "t", "source": "/s", "specversion": "1.0", "datacontenttype": "text/plain"}
    await publisher.republish("ord_1", attributes, b"x")
    (record,) = await published(kafka_bootstrap, topic, 1)
    headers = dict(record.headers)
    assert (record.key, record.value, headers["content-type"]) == (b"ord_1", b"x", b"text/plain")
    assert {name for name in headers if name.startswith("ce_")} == {"ce_id", "ce_type", "ce_source", "ce_specversion"}


async def test_without_a_broker_publishing_raises_unavailable():
    publisher = KafkaPublisher(f"127.0.0.1:{free_port()}", "nowhere")
    with pytest.raises(Unavailable):
        await publisher.publish([recorded("order-1", 1, "ord_1")])
    with pytest.raises(Unavailable):
        await publisher.ensure_available()
    await publisher.close()
