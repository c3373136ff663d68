"""What a replay came to, in words and for programs."""

from __future__ import annotations

from services.local.replay.edge import Edge
from services.local.replay.engine import Outcome
from services.local.replay.progress import say
from services.local.replay.records import Tally
from services.local.replay.report import refusals

__all__ = ["show_brought", "show_outcome", "show_pace", "show_tally", "summary"]

NOT_TAKEN = {
    "line": "lines refused",
    "order": "orders refused",
    "cancellation": "cancellations not done",
    "note": "noted",
}


def show_tally(tally: Tally) -> None:
    """What was read, and why the rest was not taken."""
    say(f"{tally.lines} lines read, {tally.lines_taken} taken in {tally.orders} orders")
    for what, reason, count in refusals(tally):
        say(f"  {count:>6} {NOT_TAKEN[what]}: {reason}")


def show_pace(outcome: Outcome, edge: Edge) -> None:
    """How fast it went."""
    placing = max(outcome.place_seconds, 0.001)
    say(
        f"{outcome.placed} orders placed in {placing:.1f} s ({outcome.placed / placing:.0f}/s), "
        f"all at rest {outcome.rest_seconds:.1f} s after the first; {edge.retries} calls repeated"
    )


def show_brought(outcome: Outcome, edge: Edge) -> None:
    """How fast finished orders came."""
    seconds = max(outcome.place_seconds, 0.001)
    say(
        f"{outcome.placed} finished orders brought and shown in {seconds:.1f} s ({outcome.placed / seconds:.0f}/s); "
        f"{edge.retries} calls repeated"
    )


def show_outcome(outcome: Outcome) -> None:
    """What became of the orders."""
    if outcome.placed_before:
        say(f"{outcome.placed_before} were placed by an earlier run")
    say(f"{outcome.cancelled} cancelled, {outcome.cancellations_refused} cancellations refused")
    if sent := outcome.dispatched + outcome.delivered:
        say(f"{sent} sent, {outcome.delivered} of them delivered")


def summary(tally: Tally, outcome: Outcome | None = None) -> dict[str, object]:
    """The same for programs."""
    read: dict[str, object] = {
        "lines": tally.lines,
        "lines_taken": tally.lines_taken,
        "lines_credited": tally.lines_credited,
        "lines_of_refused_orders": tally.lines_of_refused_orders,
        "orders": tally.orders,
        "cancellations": tally.cancellations,
        "not_taken": [{"what": what, "reason": reason, "count": count} for what, reason, count in refusals(tally)],
    }
    if outcome is None:
        return read
    done = {name: getattr(outcome, name) for name in outcome.__slots__}
    return {**read, **{name: round(value, 3) if isinstance(value, float) else value for name, value in done.items()}}
