"""Figures of the saga: `python -m tests.bench.bench_saga`; four-step sagas a second in one process, no HTTP.

Decided only: every message is written and read back as JSON. Through the handler: loaded, decided and appended with
inbox mark and outbox row, `CALLERS` runs at once, on the log in memory and on an embedded Postgres.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import uvloop

from services.databases import DATABASE_ROLES, migrate
from services.fulfillment.saga import ORDER_SAGA, OrderStep
from services.fulfillment.vocabulary import VOCABULARY
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Decider, Rejected
from services.kit.eventstore.grants import role_of
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import EventStore, Mark, RecordedEvent
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.saga.commands import HandleReply, SagaCommand, Start
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.messages import StepReply
from services.kit.saga.run import Completed, Run
from services.kit.saga.table import Saga
from services.kit.telemetry.tracing import TRACE, new_trace
from services.kit.testing import EPOCH
from tests.sagas.facts import FACTS
from tools.knative_local.postgres import PostgresServer

SECONDS = 4.0
ROUNDS = 3
CALLERS = 64
AIM = 1_000
PASSWORD = "bench"
NAMES = ("reserve", "charge", "ship", "tell")


def four_steps() -> Decider[SagaCommand, Run]:
    """The first rows of the order's table, one after the other."""
    rows = zip(NAMES, ("", *NAMES), ORDER_SAGA.steps, strict=False)
    steps = tuple(
        OrderStep(name=name, after=(before,) if before else (), do=row.do, undo=row.undo, deadline=row.deadline)
        for name, before, row in rows
    )
    return saga_decider(Saga("bench", VOCABULARY, steps))


def commands(saga_id: str) -> Sequence[SagaCommand]:
    """All commands of one run."""
    facts = FACTS.model_copy(update={"saga_id": saga_id})
    answers = (HandleReply(at=EPOCH, jitter=0.0, reply=StepReply(saga_id=saga_id, step=name)) for name in NAMES)
    return (Start(at=EPOCH, jitter=0.0, facts=facts), *answers)


def pure() -> float:
    """Sagas per second, decided and folded; for each command the run is folded anew from its written events."""
    decider, done = four_steps(), 0
    models = {event.type: event for event in decider.events}
    began = time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        state, written = decider.initial, list[tuple[str, str]]()
        for command in commands(f"ord_{done}"):
            decision = decider.decide(command, state)
            assert not isinstance(decision, Rejected)
            state = decider.fold(decision, state)
            written += [(event.type, event.write()) for event in decision]
        assert isinstance(state, Completed)
        assert decider.fold(models[kind].read(data) for kind, data in written) == state
        done += 1
    return done / (time.perf_counter() - began)


class Silent:
    """A publisher that drops all events."""

    async def ensure_available(self) -> None: ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None: ...

    async def republish(self, key: str, attributes: object, data: bytes) -> None: ...

    async def close(self) -> None: ...


async def with_log(store: EventStore) -> float:
    """Sagas a second through the command handler: load, decide, append with inbox mark and outbox row."""
    decider, numbers, done = four_steps(), count(time.time_ns()), 0
    handler = CommandHandler("fulfillment", store, Relay(store.outbox, Silent()), MemoryVault())
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal done
        TRACE.set(new_trace())  # as the event endpoint does
        while time.perf_counter() - began < SECONDS:
            saga_id = f"ord_{next(numbers)}"
            for number, command in enumerate(commands(saga_id)):
                cause = Cause(EPOCH, "bench", saga_id, Mark(f"{saga_id} {number}"))
                await handler.handle(decider, saga_id, command, cause)
            assert isinstance((await handler.load(decider, saga_id)).state, Completed)
            done += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    rate = done / (time.perf_counter() - began)
    await handler.relay.close()
    await store.close()
    return rate


def measure(owner: str, dsn: str) -> None:
    """Print the figures, rounds interleaved."""
    asyncio.run(migrate(owner, dict.fromkeys(DATABASE_ROLES, PASSWORD)))
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        figures.setdefault("decide, fold, write and read again", []).append(pure())
        for name, store in (
            ("memory", MemoryEventStore("fulfillment")),
            ("Postgres", PostgresEventStore(dsn, "fulfillment")),
        ):
            figures.setdefault(f"through the handler, log on {name}", []).append(uvloop.run(with_log(store)))
    print(f"{'four-step sagas/s in one process':45} {'median':>8} {'best':>8} {'aim':>8}")
    for name, rates in figures.items():
        print(f"{name:45} {statistics.median(rates):>8,.0f} {max(rates):>8,.0f} {AIM:>8,}")


def main() -> None:
    """Measure on an embedded Postgres of our own."""
    with tempfile.TemporaryDirectory() as home:
        server = PostgresServer(Path(home) / "postgres")
        server.start()
        try:
            measure(server.dsn(), server.dsn(user=role_of("fulfillment"), password=PASSWORD))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
