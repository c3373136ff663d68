"""How far the read side is behind while orders come in: `python -m tests.bench.bench_lag`.

An open loop of whole lives of orders is appended to the log, as the services do it; what a Trigger would deliver is
posted to a projection in a process of its own. The lag is from an event's commit to the answer to its nudge, which
comes when its rows are there to be read.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.domain.message import Message
from services.kit.eventstore.port import Append, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.kit.wire.cloudevents import kafka_headers
from services.projection.reactions import TYPES
from tests.bench.bench_projection import life_of_order, prepare
from tests.services.read_side import AT, VAULT_KEY
from tools.knative_local.ports import free_port
from tools.knative_local.postgres import PostgresServer

ORDERS_PER_SECOND = int(os.environ.get("BENCH_RATE", "100"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
WARMING_SECONDS = 3
STEP_SECONDS = 0.1
"""Between two appends of one order."""
CONNECTIONS_MAX = 64
AIM_P99_MS = 250


class Nudges:
    """Delivers nudges to the projection over open connections."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._slots = asyncio.Semaphore(CONNECTIONS_MAX)
        self.refused = 0

    async def deliver(self, event: RecordedEvent) -> None:
        _, headers = kafka_headers(event)
        fields = b"".join(name.replace("ce_", "ce-", 1).encode() + b": " + value + b"\r\n" for name, value in headers)
        body = event.data.encode()
        head = b"POST /events HTTP/1.1\r\nhost: bench\r\n" + fields + b"content-length: %d\r\n\r\n" % len(body)
        async with self._slots:
            while not await self._once(head + body):
                self.refused += 1  # as a Trigger would, it comes again

    async def _once(self, request: bytes) -> bool:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        self._idle.append((reader, writer))
        return answer.startswith(b"HTTP/1.1 204")

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()


class Load:
    """The placed orders, and the time until each event was shown."""

    def __init__(self, logs: dict[str, PostgresEventStore], nudges: Nudges) -> None:
        self._logs = logs
        self._nudges = nudges
        self.lags_ms: list[float] = []
        self.events = 0

    async def run(self, first: int, seconds: int) -> None:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as orders:
            for number in range(seconds * ORDERS_PER_SECOND):
                await asyncio.sleep(max(start + number / ORDERS_PER_SECOND - time.perf_counter(), 0))
                orders.create_task(self._order(first + number))

    async def _order(self, number: int) -> None:
        versions: dict[str, int] = {}
        async with asyncio.TaskGroup() as deliveries:
            for service, stream, messages in life_of_order(number):
                version = versions.get(stream, 0)
                recorded = await self._append(service, stream, version, messages)
                versions[stream] = version + len(messages)
                committed = time.perf_counter()
                for event in recorded:
                    if event.type in TYPES:
                        deliveries.create_task(self._shown(event, committed))
                await asyncio.sleep(STEP_SECONDS)

    async def _append(
        self, service: str, stream: str, version: int, messages: Sequence[Message]
    ) -> list[RecordedEvent]:
        log = self._logs[service]
        events = await stamped(messages, Cause(AT), "bench", PostgresVault(log.connections, VAULT_KEY))
        await log.append(Append(stream, version, events))
        self.events += len(messages)
        return await log.read(stream, version)

    async def _shown(self, event: RecordedEvent, committed: float) -> None:
        await self._nudges.deliver(event)
        self.lags_ms.append((time.perf_counter() - committed) * 1000)


@asynccontextmanager
async def projection(log_dsn: str, read_dsn: str) -> AsyncGenerator[int]:
    """A running projection with the command of its image; yields its port."""
    port = free_port()
    environ = {
        **os.environ, "PORT": str(port), "ZEROCART_DATABASE_URL": log_dsn, "ZEROCART_READ_DATABASE_URL": read_dsn,
        "ZEROCART_VAULT_KEYS": VAULT_KEY(), "ZEROCART_TOKEN_KEYS_URL": "http://127.0.0.1:9/", "LOG_LEVEL": "WARNING",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "services.run", "projection"], env=environ)
    try:
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            except OSError:
                await asyncio.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(30)


async def bench(server: PostgresServer) -> float:
    prepared = await prepare(server, orders=0)
    logs = {name: PostgresEventStore(dsn, name) for name, dsn in prepared.services.items()}
    async with projection(prepared.log, prepared.read) as port:
        nudges = Nudges(port)
        await Load(logs, nudges).run(0, WARMING_SECONDS)
        load = Load(logs, nudges)
        start = time.perf_counter()
        await load.run(1_000_000, SECONDS)
        took = time.perf_counter() - start
        nudges.close()
    for log in logs.values():
        await log.close()
    cuts = statistics.quantiles(load.lags_ms, n=100)
    orders = SECONDS * ORDERS_PER_SECOND
    print(
        f"{orders} orders, {load.events} events, {len(load.lags_ms)} nudges in {took:.1f} s, {nudges.refused} refused"
    )
    print(f"lag p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, max {max(load.lags_ms):.0f} ms, aim p99 {AIM_P99_MS} ms")
    return cuts[98]


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {ORDERS_PER_SECOND} orders/s", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(Path(folder))
        server.start()
        try:
            p99 = uvloop.run(bench(server))
        finally:
            server.stop()
    sys.exit(0 if p99 <= AIM_P99_MS else 1)


if __name__ == "__main__":
    main()
