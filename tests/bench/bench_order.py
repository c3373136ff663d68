"""What one order costs after it was placed: processor time, transactions, bytes of WAL, events and deliveries.

`python -m tests.bench.bench_order --beside PATH` measures a second checkout in turn with this one, each on a local cluster
of its own; `--products 1 100` measures orders for the same product in turn with orders for one of a hundred. Processor time (user and system, from /proc) hardly depends on other work of the machine; rates do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.architecture.rules import ROOT
from tests.bench.bench_system import many
from tools.knative_local.ports import free_port
from tools.knative_local.state import Running, State

AWAKE_SECONDS = 900
SETTLE_SECONDS = 2.5
"""After the last confirmation: the rest of the deliveries, and Postgres' own statistics."""
IDLE_SECONDS = 10.0
CONFIRM_SECONDS_MAX = 600.0
WARM_ORDERS = 160
"""Enough for services to have as many processes as under the load that is measured."""
SINGLE_ORDERS = 20
TOKEN_SECONDS = 60.0
SHOWN_MS = 0.05
ITEM = {
    "product_name": "Mug",
    "quantity": 1,
    "unit_price": {"amount": "4.50", "currency": "GBP"},
}
ORDER = {
    "email": "bench@example.com",
    "shipping_address": {"name": "Ann", "line1": "1 High Street", "city": "Leeds", "country": "GB"},
    "payment_method": {"kind": "card", "token": "tok_approve"},
}
CONFIRMED = "SELECT count(*) FROM log.events WHERE type = 'zerocart.orders.order.confirmed.v1'"
DATABASE = """
    SELECT (SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname LIKE 'zerocart%')::float AS transactions,
           (pg_current_wal_lsn() - '0/0')::float AS wal_bytes,
           (SELECT count(*)::float FROM log.events) AS events
"""
LATENCIES = """
    SELECT 1000 * extract(epoch FROM max(time) - min(time))::float AS ms FROM orders.events
    WHERE position > $1 AND type = ANY (ARRAY['zerocart.orders.order.created.v1', 'zerocart.orders.order.confirmed.v1'])
    GROUP BY stream HAVING count(*) = 2
"""


@dataclass
class Checkout:
    """A checkout with its own environment and a running local cluster, whose orders want one of `products`."""

    path: Path
    home: Path
    products: int = 1
    rounds: list[Counter[str]] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    idle: Counter[str] = field(default_factory=Counter)
    processes: int = 0
    _token: tuple[float, str] = (float("-inf"), "")

    def command(self, *words: str) -> str:
        environ = {
            **os.environ,
            "PYTHONPATH": str(self.path),
            "ZEROCART_HOME": str(self.home),
            "ZEROCART_EDGE_PORT": str(free_port()),
            "ZEROCART_WINDOW": str(AWAKE_SECONDS),
        }
        program = [str(self.path / ".venv/bin/zerocart"), *words]
        done = subprocess.run(program, cwd=self.path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def up(self, products: int = 1) -> Generator[None]:
        self.command("up", "--detach")
        try:
            for number in range(products):
                self.call("PUT", f"/stock/BENCH-{number}", {"product_name": "Mug", "on_hand": 10_000_000})
            yield
        finally:
            self.command("down")

    @property
    def name(self) -> str:
        """The heading of its column."""
        return f"{self.path.name} {self.products}"

    @property
    def orders(self) -> list[dict[str, Any]]:
        """An order for each product."""
        return [ORDER | {"items": [ITEM | {"product_id": f"BENCH-{number}"}]} for number in range(self.products)]

    @property
    def running(self) -> Running:
        running = State(self.home).running()
        assert running is not None
        return running

    def call(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        headers = {"authorization": f"Bearer {self.token()}", "content-type": "application/json"}
        request = urllib.request.Request(
            self.running.edge_url + path, method=method, data=json.dumps(body).encode(), headers=headers
        )
        with urllib.request.urlopen(request, timeout=60):
            pass

    def token(self) -> str:
        """Return a token, which is asked for once a minute: log-ins have a limit."""
        made_at, token = self._token
        if time.monotonic() - made_at > TOKEN_SECONDS:
            token = self.command("token").strip()
            self._token = time.monotonic(), token
        return token

    def status(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.running.control_url}/status", timeout=60) as answer:
            return json.load(answer)


def seconds_used(status: Mapping[str, Any]) -> Counter[str]:
    """Processor seconds by part of the cluster, with those of the processes below it."""
    owners = {pid: name for name, pid in status["pids"].items()}
    owners |= {pid: name for name, service in status["services"].items() for pid in service["pids"]}
    parents, used = processes()
    total: Counter[str] = Counter()
    for pid, seconds in used.items():
        ancestor = pid
        while ancestor not in owners and ancestor > 1:
            ancestor = parents.get(ancestor, 0)
        if ancestor in owners:
            total[owners[ancestor]] += seconds  # pyright: ignore[reportArgumentType]
    return total


def processes() -> tuple[dict[int, int], dict[int, float]]:
    """The parent, and the user and system seconds, of each process."""
    parents: dict[int, int] = {}
    used: dict[int, float] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(folder.name)] = int(fields[1])
        # with those of its children that have ended, such as Postgres' sessions
        used[int(folder.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return parents, used


async def costs_so_far(checkout: Checkout) -> Counter[str]:
    status = checkout.status()
    connection = await asyncpg.connect(checkout.running.owner_dsn)
    numbers = dict(await connection.fetchrow(DATABASE) or ())
    await connection.close()
    used = {f"{name} ms": 1000 * seconds for name, seconds in seconds_used(status).items()}
    return Counter({**used, **numbers, **deliveries(status)})


def deliveries(status: Mapping[str, Any]) -> dict[str, int]:
    with urllib.request.urlopen(status["delivery_url"], timeout=60) as answer:
        triggers = json.load(answer)["triggers"]
    counts = {f"deliveries to {name}": trigger["delivered"] for name, trigger in triggers.items()}
    return {"deliveries": sum(counts.values()), **counts}


async def place(checkout: Checkout, orders: int, callers: int) -> float:
    """Orders per second until all are confirmed, in a closed loop of callers that place one after the other."""
    running, token = checkout.running, checkout.token()
    connection = await asyncpg.connect(running.owner_dsn)
    wanted = await connection.fetchval(CONFIRMED) + orders
    start = time.perf_counter()
    await many(running.edge_url, "/orders", orders, callers, token, checkout.orders)
    while await connection.fetchval(CONFIRMED) < wanted:
        assert time.perf_counter() - start < CONFIRM_SECONDS_MAX, "not all orders were confirmed"
        await asyncio.sleep(0.1)
    rate = orders / (time.perf_counter() - start)
    await connection.close()
    return rate


async def one_by_one(checkout: Checkout) -> list[float]:
    """Milliseconds from placed to confirmed, while nothing else goes on."""
    connection = await asyncpg.connect(checkout.running.owner_dsn)
    last = await connection.fetchval("SELECT coalesce(max(position), 0) FROM log.events")
    for _ in range(SINGLE_ORDERS):
        await place(checkout, 1, 1)
    found = [row["ms"] for row in await connection.fetch(LATENCIES, last)]
    await connection.close()
    return found


async def measure(checkout: Checkout, orders: int, callers: int) -> None:
    before = await costs_so_far(checkout)
    checkout.rates.append(await place(checkout, orders, callers))
    await asyncio.sleep(SETTLE_SECONDS)
    after = await costs_so_far(checkout)
    checkout.processes = checkout.status()["processes"]
    checkout.rounds.append(Counter({name: (after[name] - before[name]) / orders for name in after}))


async def measure_idle(checkout: Checkout) -> None:
    before = seconds_used(checkout.status())
    await asyncio.sleep(IDLE_SECONDS)
    after = seconds_used(checkout.status())
    checkout.idle = Counter({name: 100 * (after[name] - before[name]) / IDLE_SECONDS for name in after})


def report(checkouts: list[Checkout]) -> None:
    def row(name: str, values: list[str]) -> None:
        print(f"{name:<28}" + "".join(f"{value:>16}" for value in values), flush=True)

    def middle(checkout: Checkout, name: str) -> float:
        return statistics.median(numbers[name] for numbers in checkout.rounds)

    for each in checkouts:
        for numbers in each.rounds:
            numbers["all processes ms"] = sum(value for name, value in numbers.items() if name.endswith(" ms"))
    row("per order (medians)", [each.name for each in checkouts])
    names = sorted(checkouts[0].rounds[0], key=lambda name: (not name.endswith(" ms"), -middle(checkouts[0], name)))
    for name in names:
        if max(middle(each, name) for each in checkouts) >= SHOWN_MS:
            row(name, [f"{middle(each, name):.2f}" for each in checkouts])
    row("processes of services", [str(each.processes) for each in checkouts])
    row("orders/s", [f"{statistics.median(each.rates):.1f}" for each in checkouts])
    row("one by one, p50 ms", [f"{statistics.median(each.latencies):.0f}" for each in checkouts])
    for name in sorted(checkouts[0].idle):
        if max(each.idle[name] for each in checkouts) > SHOWN_MS:
            row(f"idle: {name}, % of a core", [f"{each.idle[name]:.1f}" for each in checkouts])


async def run(checkouts: list[Checkout], options: argparse.Namespace) -> None:
    for each in {each.home: each for each in checkouts}.values():
        await place(each, WARM_ORDERS, options.callers)
    for _ in range(options.rounds):
        for each in checkouts:
            await measure(each, options.orders, options.callers)
    for each in checkouts:
        each.latencies = await one_by_one(each)
        await measure_idle(each)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path, help="another checkout, with its own .venv")
    parser.add_argument("--orders", type=int, default=200, help="in each round (default 200)")
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--products", type=int, nargs="+", default=[1], help="the orders want one of so many products")
    options = parser.parse_args()
    paths = [ROOT, *([options.beside.resolve()] if options.beside else [])]
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {options}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        checkouts: list[Checkout] = []
        for number, path in enumerate(paths):
            same = [Checkout(path, Path(folder) / str(number), products) for products in options.products]
            running.enter_context(same[0].up(max(options.products)))
            checkouts += same
        asyncio.run(run(checkouts, options))
        report(checkouts)
    print(f"load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
