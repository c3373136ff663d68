"""The summary of a replay, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from services.kit.domain.currencies import rounded
from tools.importer.edge import Edge
from tools.importer.records import Tally
from tools.importer.replay import Outcome
from tools.importer.report import control_totals, held, refusals, unheld
from tools.terminal import say

__all__ = ["counted", "show_brought", "show_outcome", "show_pace", "show_states", "show_tally", "summary"]

PARTS = {
    "orders": "in the lines of orders that are imported",
    "rounding": "lost or gained by rounding the totals of orders",
    "lines_not_imported": "in lines that are not imported",
    "orders_not_imported": "in orders that are not imported",
    "credits_that_cancel": "credited by notes that cancel an order",
    "credits_that_refund": "credited by notes that refund a part of an order",
    "credits_not_done": "credited by notes that cancel no order: the orders keep this money",
}
"""The parts into which all money of a file is split."""
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
    """Print how much was read, how much imported, and why not the rest, with the money of each part."""
    say(f"{counted(tally.lines, 'line')} read, {tally.lines_taken} imported in {counted(tally.orders, 'order')}")
    for what, reason, count in refusals(tally):
        money = tally.money_of(what, reason)
        worth = "".join(f", {_shown(amount, currency)}" for currency, amount in money.items() if amount)
        say(f"  {count:>6} {NOT_TAKEN[what][count != 1]}{worth}: {reason}")
    for currency, parts in control_totals(tally).items():
        say(f"Control totals in {currency}: {_shown(parts['read'], currency)} read is")
        for name, amount in parts.items():
            if name != "read" and (amount or name == "orders"):
                say(f"  {_shown(amount, currency):>22} {PARTS[name]}")

    for name, currency, amount in held(tally):
        say(f"The imported orders hold {name}: {_shown(amount, currency)}")
    for name, currency, amount in unheld(tally):
        say(f"The orders do not hold {name}: {_shown(amount, currency)} is not imported.")
    for name, amounts in tally.columns.items():
        money = ", ".join(_shown(amount, currency) for amount, currency in amounts)
        say(f"The mapping does not name the column {name}, which looks like money: {money} is not imported.")


def _shown(amount: Decimal, currency: str) -> str:
    return f"{rounded(amount, currency):,} {currency}"


def show_states(ends: Mapping[str, int], cancelled_by_credit_notes: int) -> None:
    """Print which states the orders of a file would reach."""
    kept = {end: count for end, count in ends.items() if count and end != "cancelled"}
    cancelled = ends.get("cancelled", 0)
    by_credit = f"{counted(cancelled_by_credit_notes, 'order')} would be cancelled by credit notes"
    by_state = f", {cancelled} by their state" if cancelled else ""
    say(f"{by_credit}{by_state}")
    if set(kept) - {"confirmed"}:
        say("others before credit notes: " + ", ".join(f"{count} {end}" for end, count in kept.items()))


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
    if outcome.corrected:
        say(f"{counted(outcome.corrected, 'order')} corrected")
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
        "control_totals": {
            currency: {name: f"{amount:f}" for name, amount in parts.items()}
            for currency, parts in control_totals(tally).items()
        },
        "held": [{"name": name, "currency": of, "amount": f"{amount:f}"} for name, of, amount in held(tally)],
        "not_held": [{"name": name, "currency": of, "amount": f"{amount:f}"} for name, of, amount in unheld(tally)],
        "unmapped": [
            {"column": name, "currency": currency, "amount": f"{amount:f}"}
            for name, amounts in tally.columns.items()
            for amount, currency in amounts
        ],
        "not_taken": [_not_taken(tally, *row) for row in refusals(tally)],
    }
    if outcome is None:
        return read
    done = {name: getattr(outcome, name) for name in outcome.__slots__}
    return {**read, **{name: round(value, 3) if isinstance(value, float) else value for name, value in done.items()}}


def _not_taken(tally: Tally, what: str, reason: str, count: int) -> dict[str, object]:
    money = {currency: f"{amount:f}" for currency, amount in tally.money_of(what, reason).items()}
    return {"what": what, "reason": reason, "count": count, **({"amounts": money} if money else {})}
