"""The cases of the gauntlet, and the verdict on the events that the reader got."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from tools.gauntlet.load import MIXED, PAGE_EVENTS_MAX, Follower, Load
from tools.gauntlet.store import Store
from tools.gauntlet.strangers import STRANGERS_DO, stranger

__all__ = ["CASES", "HOLD_UP_SECONDS_MAX", "Case", "Report", "judged", "run_case"]

HOLD_UP_SECONDS_MAX = 1.0
"""A reader is held up if it asks for an event for longer than this after the commit and the end of older writers."""
CATCH_UP_SECONDS_MAX = 4.0
IDLE_SECONDS = 1.0
LAG_SECONDS = 0.5
SEVERAL = ("has an id, in another database", "is prepared", "holds FOR KEY SHARE")
"""The strangers of the case that has several."""


@dataclass(frozen=True)
class Case:
    """What the writers do (a kind of `load.KINDS`), and what happens meanwhile. `needs` are keys of `Store.cannot`."""

    name: str
    kind: str = "1 event"
    happens: str = "nothing"
    needs: Sequence[str] = ()
    quick: bool = False


CASES: Sequence[Case] = (
    Case("appends of 1 event", quick=True),
    Case("appends of 5 events", "5 events"),
    Case("slow transactions", "slow", needs=("transactions",), quick=True),
    Case("transactions rolled back", "rolled back", needs=("transactions",)),
    Case("savepoints rolled back", "savepoint", needs=("transactions",), quick=True),
    Case("two-phase commits", "prepared", needs=("transactions",), quick=True),
    *(
        Case(f"a stranger {does}", happens=does, needs=("strangers",), quick="another database" in does)
        for does in STRANGERS_DO
    ),
    Case("all transactions at once, beside strangers", MIXED, happens="strangers", needs=("transactions", "strangers")),
    Case("the server is killed", happens="restart"),
    Case("dump and restore", happens="restore", needs=("postgres",)),
    Case("dump and restore, later events lost", happens="restore an older dump", needs=("postgres",)),
    Case("failover to a standby that lags", happens="failover", needs=("postgres",)),
    Case("failover loses an event before others", happens="failover in between", needs=("postgres", "transactions")),
    Case("numbers pass 2^32", happens="2^32", needs=("sequence",)),
    Case("numbers pass the end of an epoch", happens="epoch", needs=("epochs",)),
)


@dataclass
class Report:
    """What a reader got in a case; `not_applicable` is the reason why the case was not run."""

    case: str
    not_applicable: str = ""
    appended: int = 0
    skipped: int = 0
    repeated: int = 0
    lost: int = 0
    kept: int = 0
    told: int = 0
    hold_up_seconds: float = 0.0
    faults: list[str] = field(default_factory=list[str])

    @property
    def verdict(self) -> str:
        """One line for the table."""
        if self.not_applicable:
            return f"not applicable: {self.not_applicable}"
        return "; ".join(self.faults) or "passes"


async def run_case(store: Store, case: Case, seconds: float) -> Report:
    """Run one case on a started store, whose log may have events of earlier cases."""
    if reason := next((store.cannot[need] for need in case.needs if need in store.cannot), ""):
        return Report(case.name, not_applicable=reason)
    load, follower = Load(store, case.kind), Follower(store)
    async with follower.following():
        async with _happening(store, case, load, follower, seconds):
            await load.run(seconds)
            in_time = await follower.has_read(load.committed, CATCH_UP_SECONDS_MAX)
        if not in_time and not _loses(case):
            await follower.has_read(load.committed, CATCH_UP_SECONDS_MAX)
        await follower.is_idle(IDLE_SECONDS)
    return judged(case, load, follower, await _history(store))


def _loses(case: Case) -> bool:
    return case.happens in ("restore an older dump", "failover", "failover in between")


@asynccontextmanager
async def _happening(store: Store, case: Case, load: Load, follower: Follower, seconds: float) -> AsyncGenerator[None]:
    """What happens before and while the load of a case runs."""
    match case.happens:
        case "nothing":
            yield
        case "restart":
            restarting = asyncio.create_task(_restart_within(store, seconds / 2))
            yield
            await restarting
        case "restore" | "restore an older dump" | "failover":
            await load.run(seconds)
            await _cut(store, case, load)
            yield
        case "failover in between":
            await load.run(seconds)
            await _cut_in_between(store, load, follower)
            yield
        case "2^32" | "epoch":
            await store.draw_near(case.happens)
            yield
        case does:
            await load.run(LAG_SECONDS)  # a stranger locks a row of an event
            async with AsyncExitStack() as strangers:
                for each in SEVERAL if does == "strangers" else (does,):
                    await strangers.enter_async_context(stranger(store.ground, each, store.events_table))
                yield


async def _restart_within(store: Store, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await store.restart()


async def _cut(store: Store, case: Case, load: Load) -> None:
    ground = store.ground
    if case.happens == "failover":
        await ground.add_standby()
        await load.run(LAG_SECONDS)
        await ground.cut_off_standby()
        await load.run(LAG_SECONDS)
        await ground.fail_over()
    else:
        dump = await ground.dump()
        if case.happens != "restore":
            await load.run(LAG_SECONDS)
        await ground.restore(dump)
    await store.connect()


async def _cut_in_between(store: Store, load: Load, follower: Follower) -> None:
    """The standby has the last event, but not an event before it, which was committed after it."""
    await store.ground.add_standby()
    began = time.monotonic()
    async with store.transaction("lost") as transaction:
        await transaction.append("lost", ["lost"])
        await store.append("last", ["last"])
        await asyncio.sleep(LAG_SECONDS)  # until the standby has it
        await store.ground.cut_off_standby()
    now = time.monotonic()
    load.committed |= {"lost": now, "last": now}
    load.spans.append((began, now))
    await follower.has_read(load.committed, CATCH_UP_SECONDS_MAX)
    await store.ground.fail_over()
    await store.connect()


async def _history(store: Store) -> list[str]:
    """The whole log, read from the start when nothing else runs."""
    texts: list[str] = []
    checkpoint: object = None
    while True:
        page, checkpoint = await store.read(checkpoint, PAGE_EVENTS_MAX)
        if not page:
            return texts
        texts += page


def judged(case: Case, load: Load, follower: Follower, history: list[str]) -> Report:
    """What the reader got, compared with the whole log as a reader sees it that starts when nothing else runs."""
    there, seen = set(history), Counter(follower.seen)
    report = Report(
        case.name,
        appended=len(load.committed),
        skipped=len(there - seen.keys()),
        repeated=sum(seen.values()) - len(seen),
        lost=len(load.committed.keys() - there),
        kept=len(seen.keys() - there),
        told=follower.told,
        hold_up_seconds=_hold_up(load, follower),
    )
    in_order = [text for text in history if text in seen] == [text for text in follower.seen if text in there]
    if report.skipped:
        report.faults.append(f"skips {report.skipped} events")
    if report.repeated or not in_order:
        report.faults.append(f"repeats {report.repeated} events" if report.repeated else "reads out of order")
    if report.kept and _loses(case):
        report.faults.append(f"keeps {report.kept} events that are lost and is not told")
    elif report.lost and not _loses(case):
        report.faults.append(f"shows a new reader {report.lost} committed events less")
    elif report.kept:
        report.faults.append(f"reads {report.kept} events that are not in the log")
    if not report.appended:
        report.faults.append("no append is possible")
    if case.happens not in ("restart", "restore") and not _loses(case) and report.hold_up_seconds > HOLD_UP_SECONDS_MAX:
        report.faults.append(f"holds the reader up for {report.hold_up_seconds:.1f} s")
    return report


def _hold_up(load: Load, follower: Follower) -> float:
    """The longest time for which an event could be read and was not on a page.

    An event can be read from its commit on, and from the end of the writers of the log that began before it.
    """
    longest = 0.0
    for text in load.committed.keys() & follower.read_at.keys():
        committed = load.committed[text]
        could_be_read = max(end for began, end in load.spans if began <= committed <= end)
        before = bisect_left(follower.polls, follower.read_at[text])
        if before:
            longest = max(longest, follower.polls[before - 1] - could_be_read)
    return longest
