"""The whole system on the local cluster: cold starts, orders a second, from zero to confirmed, idleness, memory.

Beside each the raw floor, in the same run: a bare FastAPI hello, and a naive FastAPI + asyncpg insert.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx

from tests.architecture.rules import ROOT
from tests.e2e.local import Local, cluster
from tests.services.system import order

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
ORDERS = int(os.environ.get("BENCH_ORDERS", "400"))
POSTS = 1_500
CALLERS = 32
IDLE_SECONDS = 10.0
PRODUCT = "BENCH"

HELLO = """
from fastapi import FastAPI
def create():
    app = FastAPI()
    @app.get("/")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}
    return app
"""
NAIVE = """
import asyncio, json, os, asyncpg
from fastapi import FastAPI, Request
def create():
    app = FastAPI()
    pool, opening = [], asyncio.Lock()
    @app.post("/orders", status_code=201)
    async def place(request: Request) -> dict[str, int]:
        async with opening:
            if not pool:
                pool.append(await asyncpg.create_pool(os.environ["DSN"], min_size=10, max_size=10))
        body = await request.json()
        row = await pool[0].fetchrow("INSERT INTO naive (body) VALUES ($1) RETURNING id", json.dumps(body))
        return {"id": row["id"]}
    return app
"""


def median(numbers: list[float]) -> str:
    return f"{statistics.median(numbers):.0f} (min {min(numbers):.0f}, max {max(numbers):.0f})"


class Bare:
    """A FastAPI application of a few lines under uvicorn, on a socket that is held while it starts."""

    def __init__(self, folder: Path, name: str, source: str, environ: dict[str, str]) -> None:
        (folder / f"{name}.py").write_text(source)
        self._listener = socket.socket()
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(1024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        fd = self._listener.fileno()
        run = f"import uvicorn; uvicorn.run('{name}:create', factory=True, fd={fd}, loop='uvloop', http='httptools', access_log=False, log_level='error')"
        self.process = subprocess.Popen(
            [sys.executable, "-c", run], cwd=folder, pass_fds=(fd,), env={**os.environ, **environ}
        )

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._listener.close()


def hello_start_ms(folder: Path) -> float:
    start = time.perf_counter()
    bare = Bare(folder, "hello", HELLO, {})
    httpx.get(bare.url, timeout=30)
    took = (time.perf_counter() - start) * 1000
    bare.close()
    return took


def asleep(local: Local) -> bool:
    return local.quick_status()["processes"] == 0


def service_start_ms(local: Local, service: str) -> float:
    """From the first byte of a request to a sleeping service to its answer."""
    url = local.quick_status()["services"][service]["url"]
    start = time.perf_counter()
    httpx.get(f"{url}/healthz/ready", timeout=30)
    return (time.perf_counter() - start) * 1000


def cold_starts(local: Local, folder: Path) -> None:
    services = list(local.quick_status()["services"])
    times: dict[str, list[float]] = {name: [] for name in ["hello", *services]}
    for _ in range(ROUNDS):
        local.until(lambda: asleep(local))
        for service in services:
            times["hello"].append(hello_start_ms(folder))
            times[service].append(service_start_ms(local, service))
            local.until(lambda: asleep(local))
    floor = statistics.median(times["hello"])
    for name, measured in times.items():
        print(
            f"cold start {name:<14} {median(measured)} ms, {statistics.median(measured) / floor:.2f} x hello",
            flush=True,
        )


async def many(
    url: str,
    path: str,
    count: int,
    callers: int,
    token: str = "",
    placed: Mapping[str, object] | Sequence[Mapping[str, object]] | None = None,
) -> float:
    """Requests per second over raw sockets, because a client library would cost more than the service.

    They send `placed`; if it has several orders, one after the other.
    """
    orders = placed if isinstance(placed, list | tuple) else [placed or order((PRODUCT, 1))]
    bodies = [json.dumps(each).encode() for each in orders]
    authorized = f"authorization: Bearer {token}\r\n"
    begun = time.time_ns()
    requests = (
        request(path, f"{authorized}idempotency-key: {number}-{begun}\r\n", bodies[number % len(bodies)])
        for number in range(count)
    )
    start = time.perf_counter()
    await send(url, requests, callers)
    return count / (time.perf_counter() - start)


def request(path: str, headers: str, body: bytes) -> bytes:
    """A POST request; each header ends with CRLF."""
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def send(url: str, requests: Iterable[bytes], callers: int) -> None:
    """Send each request once; each caller has a connection, and sends the next request after the answer to its last."""
    parts, left = urlsplit(url), iter(requests)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        for each in left:
            writer.write(each)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 20"), head
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r")[0] or 0))
        writer.close()

    await asyncio.gather(*(work() for _ in range(callers)))


async def until_confirmed(dsn: str, count: int) -> None:
    connection = await asyncpg.connect(dsn)
    sql = "SELECT count(*) FROM log.events WHERE type = 'zerocart.orders.order.confirmed.v1'"
    while await connection.fetchval(sql) < count:
        await asyncio.sleep(0.1)
    await connection.close()


LATENCY = """
    SELECT percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY seconds) FROM (
        SELECT extract(epoch FROM max(time) - min(time)) AS seconds FROM log.events
        WHERE type = ANY (ARRAY['zerocart.orders.order.created.v1', 'zerocart.orders.order.confirmed.v1'])
        GROUP BY stream HAVING count(*) = 2
    ) AS orders
"""


async def whole_orders(local: Local) -> None:
    """Closed loop of a few callers, so that the latency is that of a system that keeps up."""
    running = local.running
    connection = await asyncpg.connect(running.owner_dsn)
    sql = "SELECT count(*) FROM log.events WHERE type = 'zerocart.orders.order.confirmed.v1'"
    for count, callers in ((ORDERS, 2), (ORDERS, CALLERS)):
        before = await connection.fetchval(sql)
        start = time.perf_counter()
        await many(running.edge_url, "/orders", count, callers, local.credentials.token())
        await until_confirmed(running.owner_dsn, before + count)
        rate = count / (time.perf_counter() - start)
        p50, p99 = await connection.fetchval(LATENCY)
        print(
            f"whole orders, {callers} callers: {rate:.0f}/s, placed to confirmed p50 {p50:.2f} s, p99 {p99:.2f} s (all so far)",
            flush=True,
        )
    await connection.close()


async def posts(local: Local, folder: Path) -> None:
    running = local.running
    connection = await asyncpg.connect(running.owner_dsn)
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS public.naive (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb)"
    )
    await connection.close()
    bare = Bare(folder, "naive", NAIVE, {"DSN": running.owner_dsn})
    url = local.quick_status()["services"]["orders"]["url"]
    # drafts: everything that placing does (mark, events, outbox, Kafka), without waking the rest of the system
    token = local.credentials.token()
    results: dict[str, list[float]] = {"orders": [], "naive": []}
    for _ in range(3):
        results["naive"].append(await many(bare.url, "/orders", POSTS, CALLERS))
        results["orders"].append(await many(url, "/orders?draft=true", POSTS, CALLERS, token))
    bare.close()
    for name, measured in results.items():
        print(f"POST /orders {name:<8} {median(measured)} /s with {CALLERS} callers, one process", flush=True)


def from_zero(local: Local) -> None:
    times: list[float] = []
    for _ in range(ROUNDS):
        local.until(lambda: asleep(local))
        start = time.perf_counter()
        order_id = local.place(order((PRODUCT, 1)))
        asyncio.run(confirmed(local.running.owner_dsn, order_id))
        times.append((time.perf_counter() - start) * 1000)
    print(f"all asleep to confirmed: {median(times)} ms", flush=True)


async def confirmed(dsn: str, order_id: str) -> None:
    connection = await asyncpg.connect(dsn)
    sql = "SELECT 1 FROM orders.events WHERE stream = $1 AND type = 'zerocart.orders.order.confirmed.v1'"
    while not await connection.fetchval(sql, f"order-{order_id}"):
        await asyncio.sleep(0.01)
    await connection.close()


async def idle(local: Local) -> None:
    connection = await asyncpg.connect(local.running.admin_dsn)
    # Postgres' own vacuum counts as transactions, but it is nobody's session
    sql = """
        SELECT sum(xact_commit + xact_rollback)::int, sum(sessions)::int FROM pg_stat_database
        WHERE datname IN ('zerocart', 'zerocart_read')
    """
    ((commits, sessions),) = await connection.fetch(sql)
    await asyncio.sleep(IDLE_SECONDS)
    ((commits_now, sessions_now),) = await connection.fetch(sql)
    opened = sessions_now - sessions
    print(f"idle: {commits_now - commits} transactions, {opened} sessions in {IDLE_SECONDS:.0f} s", flush=True)
    await connection.close()


def memory(local: Local) -> None:
    status = local.quick_status()
    pids = {**status["pids"], "cluster": local.running.pid}
    services = {name: service["pids"][0] for name, service in status["services"].items() if service["pids"]}
    for name, pid in {**pids, **services}.items():
        print(f"memory {name:<14} {proportional_mib(pid):.0f} MiB", flush=True)


def proportional_mib(pid: int) -> float:
    total = 0
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            total = int(line.split()[1])
    if "postgres" in Path(f"/proc/{pid}/comm").read_text():
        return total / 1024 + sum(proportional_mib(child) for child in children)
    return total / 1024


def main() -> None:
    os.chdir(ROOT)
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder, cluster(Path(folder) / "state") as local:
        local.stock(PRODUCT, 1_000_000)
        cold_starts(local, Path(folder))
        from_zero(local)
        local.until(lambda: asleep(local))
        asyncio.run(idle(local))
        asyncio.run(whole_orders(local))
        memory(local)
        asyncio.run(posts(local, Path(folder)))
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
