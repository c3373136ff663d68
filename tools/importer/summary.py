"""The summary of a replay, for people and for programs."""

from __future__ import annotations

from tools.importer.edge import Edge
from tools.importer.records import Tally
from tools.importer.replay import Outcome
from tools.importer.report import refusals
from tools.terminal import say

__all__ = ["counted", "show_brought", "show_outcome", "show_pace", "show_tally", "summary"]

NOT_TAKEN = {
    "line": ("line not imported", "lines not imported"),
    "order": ("order not imported", "orders not imported"),
    "cancellation": ("cancellation not done", "cancellations not done"),
    "note": ("noted", "noted"),
}


def counted(count: int, what: str) -> str:
    """A count with its noun."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def show_tally(tally: Tally) -> None:
    """Print how much was read, how much imported, and why not the rest."""
    say(f"{counted(tally.lines, 'line')} read, {tally.lines_taken} imported in {counted(tally.orders, 'order')}")
    for what, reason, count in refusals(tally):
        say(f"  {count:>6} {NOT_TAKEN[what][count != 1]}: {reason}")


def show_pace(outcome: Outcome, edge: Edge) -> None:
    """Print the speed of a replay."""
    placing = max(outcome.place_seconds, 0.001)
    say(
        f"{counted(outcome.placed, 'order')} placed in {placing:.1f} s ({outcome.placed / placing:.0f}/s), "
        f"all settled {outcome.rest_seconds:.1f} s after the first; {counted(edge.retries, 'call')} repeated"
    )


def show_brought(outcome: Outcome, edge: Edge) -> None:
    """Print the speed of an import of finished orders."""
    seconds = max(outcome.place_seconds, 0.001)
    say(
        f"{counted(outcome.placed, 'finished order')} imported and shown in {seconds:.1f} s "
        f"({outcome.placed / seconds:.0f}/s); {counted(edge.retries, 'call')} repeated"
    )


def show_outcome(outcome: Outcome) -> None:
    """Print the fate of the orders."""
    if outcome.placed_before:
        say(f"{counted(outcome.placed_before, 'order')} placed by an earlier run")
    say(f"{outcome.cancelled} cancelled, {counted(outcome.cancellations_refused, 'cancellation')} refused")
    if sent := outcome.dispatched + outcome.delivered:
        say(f"{sent} shipped, {outcome.delivered} of them delivered")


def summary(tally: Tally, outcome: Outcome | None = None) -> dict[str, object]:
    """The summary as JSON."""
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
