"""Figures of delivery: `python -m tests.bench.bench_delivery [BOOTSTRAP_SERVERS]`; without one on an embedded Kafka.

Dispatcher, subscriber and load are processes of their own. Drain: a topic full of 600-byte events, from the start of
the first delivery to the last. Latency: from the send to the arrival at the subscriber, at a steady rate.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import uvloop
from aiokafka import AIOKafkaProducer

from services.kit.events.topics import create_topic
from tools.knative_local.delivery.attempts import Schedule
from tools.knative_local.delivery.dispatch import Dispatcher
from tools.knative_local.delivery.kafka import KafkaTopic
from tools.knative_local.delivery.trigger import Route
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.manifests import Filter

PARTITIONS = 6
DRAIN_EVENTS = 10_000
EVENT_BYTES = 600
RATES_PER_SECOND = (50, 300, 1_000)
LATENCY_SECONDS = 4.0
WARM_UP_EVENTS = 50
WAIT_SECONDS_MAX = 60.0
_numbers = count(1)


@dataclass(frozen=True)
class Setting:
    name: str
    triggers: int
    each_all: bool
    """Whether every Trigger gets every event, or each its ninth."""


SETTINGS = (
    Setting("1 Trigger, all events", 1, each_all=True),
    Setting("9 Triggers, a ninth each", 9, each_all=False),
    Setting("9 Triggers, all events each", 9, each_all=True),
)


class _Instant(asyncio.Protocol):
    """A subscriber that answers each request with 204 at once."""

    def __init__(self, arrivals: list[tuple[float, float]]) -> None:
        self._arrivals = arrivals
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        _, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or len(rest) < EVENT_BYTES:
            return
        self._buffer = b""
        sent = float(rest[:20])
        self._arrivals.append((sent, time.monotonic()))
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def subscriber(pipe: Connection) -> None:
    async def serve() -> None:
        arrivals: list[tuple[float, float]] = []
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Instant(arrivals), "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        while True:
            question = await asyncio.to_thread(pipe.recv)
            if question == "count":
                pipe.send(len(arrivals))
            elif question == "take":
                pipe.send(list(arrivals))
                arrivals.clear()
            else:
                return

    uvloop.run(serve())


def dispatcher(servers: str, topic: str, url: str, setting: Setting) -> None:
    async def run() -> None:
        schedule = Schedule(3, exponential=True, backoff_seconds=0.2, timeout_seconds=30.0)
        routes: list[Route] = []
        for number in range(setting.triggers):
            filters = () if setting.each_all else (Filter("exact", {"type": f"t.{number}"}),)
            routes.append(Route(f"b{number}", "ns", filters, url, None, schedule))
        running = Dispatcher(KafkaTopic(servers, topic), routes)
        await running.start()
        await asyncio.Event().wait()

    uvloop.run(run())


async def send(producer: AIOKafkaProducer, topic: str, number: int) -> None:
    names = {"specversion": "1.0", "id": f"e{number}", "source": "/bench", "type": f"t.{number % 9}", "subject": "s"}
    extensions = {"time": "2026-11-23T10:00:00.123456Z", "partitionkey": f"k{number % 97}", "correlationid": "c"}
    headers = [(f"ce_{name}", value.encode()) for name, value in (names | extensions).items()]
    headers.append(("content-type", b"application/json"))
    body = f"{time.monotonic():020.6f}".encode().ljust(EVENT_BYTES, b"x")
    await producer.send(topic, body, f"k{number % 97}".encode(), headers=headers)


class Bench:
    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._context = multiprocessing.get_context("spawn")

    async def run(self, setting: Setting) -> None:
        topic = f"bench{next(_numbers)}-{time.time_ns()}"
        await create_topic(self._servers, topic, PARTITIONS)
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all", linger_ms=0)
        await producer.start()
        here, there = self._context.Pipe()
        listening = self._context.Process(target=subscriber, args=(there,), daemon=True)
        listening.start()
        url = f"http://127.0.0.1:{here.recv()}/events"
        for number in range(DRAIN_EVENTS):
            await send(producer, topic, number)
        await producer.flush()
        arguments = (self._servers, topic, url, setting)
        working = self._context.Process(target=dispatcher, args=arguments, daemon=True)
        working.start()
        copies = setting.triggers if setting.each_all else 1
        try:
            print(f"{setting.name}: {await self._drained(here, DRAIN_EVENTS * copies)}", flush=True)
            for rate in RATES_PER_SECOND:
                print(f"    at {rate}/s: {await self._latency(here, producer, topic, rate, copies)}", flush=True)
        finally:
            working.terminate()
            here.send("stop")
            listening.join(5)
            await producer.stop()

    async def _drained(self, pipe: Connection, deliveries: int) -> str:
        arrivals = [at for _, at in await self._arrived(pipe, deliveries)]
        rate = (deliveries - 1) / (max(arrivals) - min(arrivals))
        return f"{rate:,.0f} deliveries/s"

    async def _latency(self, pipe: Connection, producer: AIOKafkaProducer, topic: str, rate: int, copies: int) -> str:
        events = int(rate * LATENCY_SECONDS) + WARM_UP_EVENTS
        begin = time.monotonic()
        for number in range(events):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            await send(producer, topic, number)
        arrivals = await self._arrived(pipe, events * copies)
        waits = sorted((at - sent) * 1000 for sent, at in arrivals[WARM_UP_EVENTS * copies :])
        return f"p50 {statistics.median(waits):.1f} ms, p99 {waits[int(len(waits) * 0.99)]:.1f} ms"

    async def _arrived(self, pipe: Connection, wanted: int) -> Sequence[tuple[float, float]]:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                pipe.send("count")
                if pipe.recv() >= wanted:
                    break
                await asyncio.sleep(0.2)
        pipe.send("take")
        taken: Sequence[tuple[float, float]] = pipe.recv()
        return taken


async def measure(servers: str) -> None:
    for setting in SETTINGS:
        await Bench(servers).run(setting)


def main() -> None:
    if len(sys.argv) > 1:
        uvloop.run(measure(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        server = KafkaServer(Path(folder))
        server.start()
        try:
            uvloop.run(measure(server.bootstrap_servers))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
