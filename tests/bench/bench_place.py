"""POST /orders in one process of orders, beside a naive insert and beside other checkouts: rate and processor time.

`python -m tests.bench.bench_place [--beside PATH …]` starts a Postgres with fsync, a Kafka, and for each checkout its own
database, topic and process of orders. The rounds take turns. Another checkout needs no environment of its own.
BENCH_ONLY=TEXT measures only the loads with this text in their names.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from tests.architecture.rules import ROOT
from tests.bench.bench_system import NAIVE, Bare, many
from tests.services.system import ADDRESS
from tests.tokens import KEY, authorization, jwk, key_set
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.ports import free_port
from tools.knative_local.postgres import PostgresServer

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
BOOK = int(os.environ.get("BENCH_PRODUCTS", "100000"))
PASSWORD = "bench"
VAULT_KEY = "v" * 32
TICKS = os.sysconf("SC_CLK_TCK")
RULES = {"coupons": [{"code": "MANY", "percent": "10", "uses_max": 1_000_000_000}]}
METHOD = {"kind": "card", "token": "tok_approve"}


@dataclass(frozen=True)
class Load:
    """Requests of one kind: `lines` of an order whose prices the catalogue has, unless the request names them.

    If they are `various`, each has other products, in each round. With a `coupon`, they take one of its uses.
    """

    name: str
    lines: int
    requests: int
    callers: int
    named: bool = False
    path: str = "/orders"
    various: bool = False
    coupon: str | None = None

    def bodies(self) -> list[dict[str, Any]]:
        """The requests, with products chosen at random."""
        chance = random.Random() if self.various else random.Random(self.lines)
        return [self._body(chance) for _ in range(self.requests if self.various else 1)]

    def _body(self, chance: random.Random) -> dict[str, Any]:
        items: list[dict[str, Any]] = [
            {"product_id": f"P{number:06}", "quantity": 1} for number in chance.sample(range(BOOK), self.lines)
        ]
        if self.named:
            price = {"amount": "2.50", "currency": "GBP"}
            items = [{**item, "product_name": "White Mug", "unit_price": price} for item in items]
        order = {"items": items, "shipping_address": ADDRESS}
        more: dict[str, Any] = {"coupon": self.coupon} if self.coupon else {}
        if self.path != "/quotes":
            more |= {"email": "ann@example.com", "payment_method": METHOD}
        return order | more


LOADS = (
    Load("1 line, 32 callers, prices named", 1, 1_000, 32, named=True),
    Load("1 line, 32 callers", 1, 1_000, 32),
    Load("1 line, prices named", 1, 150, 1, named=True),
    Load("1 line, 32 callers, others each time", 1, 1_000, 32, various=True),
    Load("1 line, 32 callers, coupon with a limit", 1, 1_000, 32, coupon="MANY"),
    Load("1 line", 1, 150, 1),
    Load("1 line, coupon with a limit", 1, 150, 1, coupon="MANY"),
    Load("1 line, others each time", 1, 150, 1, various=True),
    Load("20 lines, prices named", 20, 100, 1, named=True),
    Load("20 lines", 20, 100, 1),
    Load("20 lines, others each time", 20, 100, 1, various=True),
    Load("1,000 lines, prices named", 1_000, 10, 1, named=True),
    Load("1,000 lines", 1_000, 10, 1),
    Load("quote of 1 line", 1, 150, 1, path="/quotes"),
)
MEASURED = tuple(load for load in LOADS if os.environ.get("BENCH_ONLY", "") in load.name)


@dataclass
class Figures:
    """What the rounds of one load measured."""

    rates: list[float] = field(default_factory=list[float])
    service_ms: list[float] = field(default_factory=list[float])
    postgres_ms: list[float] = field(default_factory=list[float])
    latency_ms: list[float] = field(default_factory=list[float])

    def __str__(self) -> str:
        median = statistics.median
        return (
            f"{median(self.rates):7.0f}/s (best {max(self.rates):.0f}), service {median(self.service_ms):.2f} ms, "
            f"Postgres {median(self.postgres_ms):.2f} ms of a processor, answered after {median(self.latency_ms):.1f} ms"
        )


def process_seconds(pid: int) -> float:
    """User and system time of a process, its children included."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, rest = path.read_text().split(" ", 1)
        except OSError:
            continue  # it has ended
        stat = rest.rsplit(")", 1)[1].split()
        if pid in (int(number), int(stat[1])):
            own, ended = stat[11:13], stat[13:15] if int(number) == pid else ()
            total += sum(map(int, (*own, *ended))) / TICKS
    return total


class Served:
    """A service of a checkout, with a database and a topic of its own; `processes` has the URL of each."""

    def __init__(
        self, checkout: Path, number: int, postgres: PostgresServer, kafka: KafkaServer, service: str = "orders"
    ) -> None:
        self.name, self._service = checkout.name, service
        self.figures: dict[str, Figures] = defaultdict(Figures)
        database = f"bench{number}"
        self.owner = postgres.dsn(database)
        environ = {
            "KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "ZEROCART_TOPIC": f"bench{number}",
            "ZEROCART_OWNER_DATABASE_URL": self.owner,
            "ZEROCART_ROLE_PASSWORDS": json.dumps({service: PASSWORD}),
            "ZEROCART_DATABASE_URL": postgres.dsn(database, f"zerocart_{service}", PASSWORD),
            "ZEROCART_VAULT_KEYS": VAULT_KEY,
            "ZEROCART_TOKEN_KEYS": key_set(jwk(KEY)),
            "ZEROCART_SHOP_RULES": json.dumps(RULES),
            "PYTHONPATH": str(checkout),
        }
        self._environ, self._checkout = {**os.environ, **environ}, checkout
        self._run("services.setup").wait()
        self.has_catalogue = service == "orders" and asyncio.run(filled(self.owner))
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.start()

    def start(self) -> None:
        """Start one process more."""
        self._environ["PORT"] = str(port := free_port())
        url = f"http://127.0.0.1:{port}"
        self.processes.append((url, self._run("services.run", self._service)))
        wait_for(url)

    def _run(self, *module: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", *module], cwd=self._checkout, env=self._environ)

    def close(self) -> None:
        """End the processes."""
        for _, process in self.processes:
            process.terminate()
            process.wait(30)


def wait_for(url: str) -> None:
    for _ in range(300):
        try:
            httpx.get(f"{url}/healthz/ready", timeout=30)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer")


async def filled(owner: str) -> bool:
    """Fill the price book; whether this release has one."""
    connection = await asyncpg.connect(owner)
    has_book = await connection.fetchval("SELECT to_regclass('orders.price_book') IS NOT NULL")
    if has_book:
        prices = [{"currency": currency, "amount": "4.50"} for currency in ("GBP", "EUR")]
        content = [
            json.dumps({"sku": f"P{number:06}", "name": f"White Mug {number}", "prices": prices})
            for number in range(BOOK)
        ]
        rows = [(f"P{number:06}", 1, each) for number, each in enumerate(content)]
        await connection.copy_records_to_table("price_book", schema_name="orders", records=rows)
        await connection.execute("ANALYZE orders.price_book")
    await connection.close()
    return has_book


def measure(figures: Figures, url: str, load: Load, pids: Mapping[str, int], token: str) -> None:
    before = {name: process_seconds(pid) for name, pid in pids.items()}
    rate = asyncio.run(many(url, load.path, load.requests, load.callers, token, load.bodies()))
    service, postgres = (process_seconds(pid) - before[name] for name, pid in pids.items())
    figures.rates.append(rate)
    figures.latency_ms.append(load.callers / rate * 1_000)
    figures.service_ms.append(service / load.requests * 1_000)
    figures.postgres_ms.append(postgres / load.requests * 1_000)


def compare(
    checkouts: Sequence[Path], folder: Path, postgres: PostgresServer, kafka: KafkaServer, stack: ExitStack
) -> None:
    asyncio.run(make_naive(postgres.dsn()))
    bare = Bare(folder, "naive", NAIVE, {"DSN": postgres.dsn()})
    stack.callback(bare.close)
    services: list[Served] = []
    for number, checkout in enumerate(checkouts):
        services.append(orders := Served(checkout, number, postgres, kafka))
        stack.callback(orders.close)
    token = authorization()["Authorization"].removeprefix("Bearer ")
    naive: dict[str, Figures] = defaultdict(Figures)
    measured = {"naive insert": naive, **{orders.name: orders.figures for orders in services}}
    for turn in range(ROUNDS + 1):
        for load in MEASURED:
            if load.named and load.lines == 1:
                pids = {"service": bare.process.pid, "postgres": postgres.pid}
                measure(naive[load.name] if turn else Figures(), bare.url, load, pids, token)
            for orders in services:
                if load.named or orders.has_catalogue:
                    [(url, process)] = orders.processes
                    pids = {"service": process.pid, "postgres": postgres.pid}
                    measure(orders.figures[load.name] if turn else Figures(), url, load, pids, token)
        if turn:
            print(f"after round {turn}, load average {os.getloadavg()[0]:.1f}", flush=True)
            show(measured)


def show(measured: Mapping[str, Mapping[str, Figures]]) -> None:
    for load in MEASURED:
        for name, figures in measured.items():
            if load.name in figures:
                print(f"{load.name:<40} {name:<14} {figures[load.name]}", flush=True)


async def make_naive(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE naive (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb)")
    await connection.close()


def main() -> None:
    parser = ArgumentParser()
    parser.add_argument("--beside", type=Path, nargs="*", default=[])
    checkouts = [ROOT, *(path.resolve() for path in parser.parse_args().beside)]
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        postgres, kafka = PostgresServer(Path(folder) / "postgres"), KafkaServer(Path(folder) / "kafka")
        for server in (postgres, kafka):
            server.start()
            stack.callback(server.stop)
        compare(checkouts, Path(folder), postgres, kafka, stack)
        print(f"load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
