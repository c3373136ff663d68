"""Figures of the saga: `python -m tests.bench.bench_saga [DSN]`; four-step sagas a second in one process, no HTTP.

In memory: deciding and folding only, with every message written and read as JSON. With a log: through the command
handler, `CALLERS` runs at once, on memory and, given the DSN of a migrated database (role fulfillment), on Postgres.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import count

from services.fulfillment.saga import ORDER_SAGA, OrderStep
from services.fulfillment.vocabulary import VOCABULARY
from services.kit.commands import Cause, CommandHandler
from services.kit.decider import Decider, Rejected
from services.kit.log import EventLog, Mark, Recorded
from services.kit.memory import MemoryLog
from services.kit.outbox import Relay
from services.kit.saga.commands import Answer, SagaCommand, Start
from services.kit.saga.interpreter import saga_decider
from services.kit.saga.messages import StepReply
from services.kit.saga.run import Completed, Run
from services.kit.saga.table import Saga
from services.kit.testing import EPOCH
from tests.sagas.facts import FACTS

SECONDS = 4.0
ROUNDS = 3
CALLERS = 64
AIM = 1_000
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
    """Everything one run is told."""
    facts = FACTS.model_copy(update={"saga_id": saga_id})
    answers = (Answer(at=EPOCH, jitter=0.0, reply=StepReply(saga_id=saga_id, step=name)) for name in NAMES)
    return (Start(at=EPOCH, jitter=0.0, facts=facts), *answers)


def pure() -> float:
    """Sagas a second, decided and folded; each run starts anew from its written events at every command."""
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
    """A publisher to nowhere."""

    async def ensure_available(self) -> None: ...

    async def publish(self, events: Sequence[Recorded]) -> None: ...

    async def republish(self, key: str, attributes: object, data: bytes) -> None: ...

    async def close(self) -> None: ...


async def with_log(log: EventLog) -> float:
    """Sagas a second through the command handler: load, decide, append with inbox mark and outbox row."""
    decider, numbers, done = four_steps(), count(time.time_ns()), 0
    handler = CommandHandler("fulfillment", log, Relay(log.outbox, Silent()))
    began = time.perf_counter()

    async def caller() -> None:
        nonlocal done
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
    await log.close()
    return rate


def main(dsn: str | None) -> None:
    import uvloop

    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        figures.setdefault("decide, fold, write and read again", []).append(pure())
        figures.setdefault("through the handler, log in memory", []).append(
            uvloop.run(with_log(MemoryLog("fulfillment")))
        )
        if dsn:
            from services.kit.postgres_log import PostgresLog

            figures.setdefault("through the handler, log on Postgres", []).append(
                uvloop.run(with_log(PostgresLog(dsn, "fulfillment")))
            )
    print(f"{'four-step sagas/s in one process':45} {'median':>8} {'best':>8} {'aim':>8}")
    for name, rates in figures.items():
        print(f"{name:45} {statistics.median(rates):>8,.0f} {max(rates):>8,.0f} {AIM:>8,}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
