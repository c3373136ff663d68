"""The dispatcher as a process on a real Kafka: delivery, a restart by SIGTERM, offsets, the status."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from services.kit.events.topics import create_topic
from tests.conftest import PARTITIONS
from tests.tools.scripted_server import ScriptedServer
from tests.waiting import SECONDS_MAX, until
from tools.knative_local.delivery.attempts import Schedule
from tools.knative_local.delivery.dispatch import Dispatcher
from tools.knative_local.delivery.kafka import KafkaTopic
from tools.knative_local.delivery.trigger import WAITING_EVENTS_MAX, Route
from tools.knative_local.ports import free_port

MANIFESTS = """\
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: default
  annotations:
    eventing.knative.dev/broker.class: Kafka
    kafka.eventing.knative.dev/external.topic: {topic}
spec: {{}}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: orders}}
spec:
  broker: default
  filters:
    - any:
        - exact: {{type: t.one}}
  subscriber:
    ref: {{apiVersion: serving.knative.dev/v1, kind: Service, name: orders}}
    uri: /events
  delivery: {{retry: 3, backoffPolicy: exponential, backoffDelay: PT0.2S, timeout: PT30S}}
"""
EVENTS = 40


async def produce(bootstrap: str, topic: str, first: int, count: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
    await producer.start()
    for number in range(first, first + count):
        kind = "t.one" if number % 2 == 0 else "t.two"
        attributes = {"specversion": "1.0", "id": f"e{number}", "source": "/src", "type": kind, "subject": "s"}
        headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        await producer.send(topic, b"{}", f"k{number % 7}".encode(), headers=headers)
    await producer.flush()
    await producer.stop()


@asynccontextmanager
async def delivery(
    folder: Path, bootstrap: str, url: str, port: int, log: IO[bytes] | None = None
) -> AsyncGenerator[asyncio.subprocess.Process]:
    environ = os.environ | {
        "ZEROCART_MANIFESTS": str(folder),
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "ZEROCART_SERVICE_URLS": json.dumps({"orders": url}),
        "ZEROCART_STATUS_PORT": str(port),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tools.knative_local.delivery", env=environ, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def ids(server: ScriptedServer) -> list[str]:
    return [request.headers["ce-id"] for request in server.requests]


async def status(port: int) -> dict[str, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return json.loads(answer.partition(b"\r\n\r\n")[2])


async def test_a_restart_neither_loses_nor_repeats_events(tmp_path: Path, kafka_bootstrap: str, topic: str) -> None:
    (tmp_path / "broker.yaml").write_text(MANIFESTS.format(topic=topic))
    await produce(kafka_bootstrap, topic, 0, EVENTS)
    wanted = [f"e{number}" for number in range(0, EVENTS, 2)]
    async with ScriptedServer({}, 1.0) as server:
        port = free_port()
        async with delivery(tmp_path, kafka_bootstrap, server.url, port) as process:
            await until(lambda: len(server.requests) >= len(wanted))
            state = (await status(port))["triggers"]["orders"]
            assert (state["delivered"], state["filtered"], state["lag"]) == (len(wanted), EVENTS // 2, 0)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert sorted(ids(server)) == sorted(wanted)
        await produce(kafka_bootstrap, topic, EVENTS, 2)
        async with delivery(tmp_path, kafka_bootstrap, server.url, free_port()) as process:
            await until(lambda: f"e{EVENTS}" in ids(server))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert len(ids(server)) == len(wanted) + 1


async def test_a_slow_trigger_does_not_delay_another_and_loses_nothing(kafka_bootstrap: str, topic: str) -> None:
    count = WAITING_EVENTS_MAX * 4
    await produce(kafka_bootstrap, topic, 0, count)
    schedule = Schedule(0, exponential=True, backoff_seconds=0.2, timeout_seconds=30.0)
    async with ScriptedServer({}, 1.0) as quick, ScriptedServer({}, 1.0) as slow:
        gate = asyncio.Event()
        slow.gate = gate
        routes = [Route(name, "ns", (), f"{one.url}/s", None, schedule) for name, one in (("q", quick), ("s", slow))]
        dispatcher = Dispatcher(KafkaTopic(kafka_bootstrap, topic), routes)
        await dispatcher.start()
        await until(lambda: len(quick.requests) == count)
        held = dispatcher.status()["s"]
        assert held["delivered"] == 0
        assert held["waiting"] <= WAITING_EVENTS_MAX
        gate.set()
        await until(lambda: len(slow.requests) == count)
        await produce(kafka_bootstrap, topic, count, 2)
        await until(lambda: len(slow.requests) == count + 2 and len(quick.requests) == count + 2)
        await dispatcher.stop()
    assert len(set(ids(slow))) == len(ids(slow)) == count + 2
    assert len(set(ids(quick))) == len(ids(quick))


@pytest.mark.parametrize("partitions", [PARTITIONS, 1, PARTITIONS + 3])
async def test_a_topic_that_is_made_again_is_delivered_from_its_start(
    kafka_bootstrap: str, topic: str, partitions: int
) -> None:
    schedule = Schedule(0, exponential=True, backoff_seconds=0.2, timeout_seconds=30.0)
    async with ScriptedServer({}, 1.0) as server:
        route = Route("r", "ns", (), f"{server.url}/s", None, schedule)
        dispatcher = Dispatcher(KafkaTopic(kafka_bootstrap, topic), [route], watch_seconds=0.2)
        await dispatcher.start()
        await produce(kafka_bootstrap, topic, 0, 40)
        await until(lambda: len(server.requests) == 40)
        await dispatcher.commit()
        await delete_topic(kafka_bootstrap, topic)
        await create_topic(kafka_bootstrap, topic, partitions)
        await produce(kafka_bootstrap, topic, 100, 6)
        await until(lambda: {f"e{number}" for number in range(100, 106)} <= set(ids(server)))
        await until(lambda: dispatcher.status()["r"]["lag"] == 0 and dispatcher.status()["r"]["in_flight"] == 0)
        await dispatcher.stop()
        later = Dispatcher(KafkaTopic(kafka_bootstrap, topic), [route])
        await produce(kafka_bootstrap, topic, 106, 2)
        await later.start()
        await until(lambda: {"e106", "e107"} <= set(ids(server)))
        await later.stop()
    if partitions == PARTITIONS:  # else the reader takes some before it notices that partitions are others
        assert sorted(ids(server)) == sorted({*ids(server)}), "nothing is delivered twice"


async def test_delivery_with_offsets_above_the_end_begins_at_the_start(kafka_bootstrap: str, topic: str) -> None:
    """The topic was made again while nothing delivered."""
    schedule = Schedule(0, exponential=True, backoff_seconds=0.2, timeout_seconds=30.0)
    async with ScriptedServer({}, 1.0) as server:
        route = Route("r", "ns", (), f"{server.url}/s", None, schedule)
        await produce(kafka_bootstrap, topic, 0, 6)
        before = KafkaTopic(kafka_bootstrap, topic)
        await before.start([route.group])
        await before.commit(route.group, dict.fromkeys(range(PARTITIONS), 1_000))
        await before.stop()
        dispatcher = Dispatcher(KafkaTopic(kafka_bootstrap, topic), [route])
        await dispatcher.start()
        await until(lambda: len(server.requests) == 6)
        await dispatcher.stop()


async def test_new_partitions_are_delivered_without_a_restart(kafka_bootstrap: str, topic: str) -> None:
    schedule = Schedule(0, exponential=True, backoff_seconds=0.2, timeout_seconds=30.0)
    async with ScriptedServer({}, 1.0) as server:
        route = Route("r", "ns", (), f"{server.url}/s", None, schedule)
        dispatcher = Dispatcher(KafkaTopic(kafka_bootstrap, topic), [route], watch_seconds=0.2)
        await dispatcher.start()
        await produce(kafka_bootstrap, topic, 0, 10)
        await until(lambda: len(server.requests) == 10)
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
        await admin.start()
        await admin.create_partitions({topic: NewPartitions(total_count=PARTITIONS + 4)})
        await admin.close()
        await produce(kafka_bootstrap, topic, 10, 60)
        await until(lambda: len(server.requests) == 70)
        await until(lambda: dispatcher.status()["r"]["in_flight"] == 0)
        await dispatcher.stop()
        assert len(set(ids(server))) == len(ids(server)) == 70


async def delete_topic(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.delete_topics([topic])
    await admin.close()


FORGED = "\r\nERROR zerocart.delivery all is lost\n\x1b[31m\u2028"


async def test_nothing_in_a_record_makes_a_line_of_the_log(tmp_path: Path, kafka_bootstrap: str, topic: str) -> None:
    (tmp_path / "broker.yaml").write_text(MANIFESTS.format(topic=topic))
    sound: dict[str, str] = {"ce_specversion": "1.0", "ce_id": "e", "ce_source": "/s", "ce_type": "t.one"}
    strange: list[dict[str, str | None]] = [
        {f"x{FORGED}": None}, {f"ce_x{FORGED}": "x"}, {"ce_specversion": FORGED}, {"ce_source": FORGED}, {"content-type": f"application/cloudevents{FORGED}"},
        {"ce_id": FORGED}, {"ce_subject": FORGED},
    ]  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, acks="all")
    await producer.start()
    for more in strange:
        headers = [(name, None if value is None else value.encode()) for name, value in {**sound, **more}.items()]
        await producer.send(topic, b"{}", headers=headers)
    await producer.stop()
    async with ScriptedServer({}, 1.0) as server:
        with (tmp_path / "log").open("w+b") as log:
            port = free_port()
            async with delivery(tmp_path, kafka_bootstrap, server.url, port, log) as process:
                async with asyncio.timeout(SECONDS_MAX):
                    while True:
                        await asyncio.sleep(0.2)
                        with contextlib.suppress(OSError):
                            state = (await status(port))["triggers"]["orders"]
                            if state["discarded"] + state["dropped"] == len(strange):
                                break
                process.send_signal(signal.SIGTERM)
                assert await process.wait() == 0
            log.seek(0)
            lines = log.read().decode().splitlines()
    assert len(lines) > len(strange)
    assert all(json.loads(line)["service"] == "delivery" for line in lines)
    assert any("all is lost" in line for line in lines)
