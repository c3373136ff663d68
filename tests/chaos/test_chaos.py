"""Services, Postgres and Kafka are killed at random while real orders flow; afterwards all totals must agree.

CHAOS_ROUNDS is the number of rounds (default 1), CHAOS_ORDERS the number of orders in a round.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter

import asyncpg
import httpx
import pytest

from tests.e2e.local import Local, cluster
from tools.demo.audit import Sources, audit
from tools.demo.expected import expected_totals
from tools.importer.command import carry_out
from tools.importer.edge import Edge
from tools.importer.mailbox import MailFolder
from tools.importer.order_source import SLICE, OrderSource, survey
from tools.importer.replay import Replay

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "1"))
ORDERS = int(os.environ.get("CHAOS_ORDERS", "600"))
SETTLE_SECONDS_MAX = 240.0
PAUSE_SECONDS = (1.5, 4.0)
"""Between two kills: a service that dies before it is awake, again and again, proves nothing."""
SERVER_PAUSE_SECONDS = 15.0
"""Between two kills of servers: long enough for a broker to come back before the next one dies."""

pytestmark = pytest.mark.chaos


async def monkey(local: Local, chance: random.Random, stopping: asyncio.Event, killed: Counter[str]) -> None:
    """Kill a service every few seconds, and every quarter of a minute Postgres, Kafka or the delivery."""
    last_server = time.monotonic()
    async with httpx.AsyncClient() as client:
        while not stopping.is_set():
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
            status = (await client.get(f"{local.running.control_url}/status")).json()
            services = {name: s["pids"] for name, s in status["services"].items() if s["pids"]}
            servers = {name: [pid] for name, pid in status["pids"].items() if name != "edge" and pid}
            choices = services
            if time.monotonic() - last_server > SERVER_PAUSE_SECONDS:
                choices, last_server = servers, time.monotonic()
            if not choices:
                continue
            name = chance.choice(sorted(choices))
            try:
                os.kill(chance.choice(choices[name]), signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed[name] += 1


@pytest.mark.parametrize("number", range(ROUNDS))
def test_totals_agree_after_servers_and_services_are_killed(tmp_path, number):
    seed = int(os.environ.get("CHAOS_SEED", time.time_ns() % 1_000_000)) + number
    killed: Counter[str] = Counter()
    with cluster(tmp_path / "state") as local:
        entries = asyncio.run(broken_replay(local, random.Random(seed), killed))
    print(f"round {number}, seed {seed}: killed {dict(killed)}")
    assert sum(killed.values()) >= 5
    assert [f"{e.what} ({e.where}): {e.actual} instead of {e.expected}" for e in entries if not e.balanced] == []


async def broken_replay(local: Local, chance: random.Random, killed: Counter[str]):
    plan, stopping = OrderSource(SLICE, ORDERS), asyncio.Event()
    breaking = asyncio.create_task(monkey(local, chance, stopping, killed))
    async with Edge(local.running.edge_url, local.credentials.token) as edge:
        replay = Replay(edge, plan, "chaos")
        await carry_out(replay, survey(plan), edge, "chaos")
    stopping.set()
    await breaking
    sources = Sources(local.running.owner_dsn, local.running.read_owner_dsn, MailFolder(local.state.home / "mail"))
    expected = expected_totals(SLICE, ORDERS)
    assert replay.outcome.placed == ORDERS
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        try:
            entries = await audit(expected, sources)
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            assert time.monotonic() < deadline  # killed last of all: it is still starting
            entries = []
        if (entries and all(entry.balanced for entry in entries)) or time.monotonic() > deadline:
            return entries
        await asyncio.sleep(1)
