"""Waits until the totals after a replay are the expected ones, and prints both."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tools.demo.audit import Comparison, Sources, audit
from tools.demo.expected import Expected
from tools.patience import Patience
from tools.terminal import say

__all__ = ["settled", "show_totals", "verdict"]

SETTLE_SECONDS_MAX = 30.0
"""The wait ends if no total has changed for this time, even if some differ."""
SETTLE_POLL_SECONDS = 0.5


async def settled(
    expected: Expected, sources: Sources, refused: int, seconds_max: float = SETTLE_SECONDS_MAX
) -> list[Comparison]:
    """The totals when all are as expected, or when none has changed for `seconds_max`."""
    patience = Patience("the totals to settle", seconds_max, say)
    while True:
        at_edge = Comparison("cancellations refused", "edge", expected.totals["cancellations refused"], refused)
        entries = [*await audit(expected, sources), at_edge]
        if all(entry.balanced for entry in entries) or patience.is_over([entry.actual for entry in entries]):
            return entries
        await asyncio.sleep(SETTLE_POLL_SECONDS)


def show_totals(entries: list[Comparison]) -> None:
    """Print every total and the expected one."""
    say()
    say(f"{'total':<30}{'source':<14}{'expected':>14}{'actual':>14}")
    for entry in entries:
        mark = "" if entry.balanced else "   <- differs"
        say(f"{entry.what:<30}{entry.where:<14}{_shown(entry.expected):>14}{_shown(entry.actual):>14}{mark}")
    say()


def _shown(amount: int | Decimal) -> str:
    return f"{amount:,.2f}" if isinstance(amount, Decimal) else f"{amount:,}"


def verdict(entries: list[Comparison]) -> bool:
    """Whether all totals are as expected; prints the result."""
    wrong = [f"{entry.what} ({entry.where})" for entry in entries if not entry.balanced]
    if wrong:
        say(f"these totals differ: {', '.join(wrong)}")
        return False
    totals = {entry.what: entry.expected for entry in entries}
    say(
        f"all totals agree: {totals['orders placed']:,} orders of {totals['products']:,} products, "
        f"{totals['units shipped']:,} units shipped"
    )
    say(f"GBP {totals['money captured']:,.2f} captured, {totals['money refunded']:,.2f} refunded")
    say(
        f"sales of GBP {totals['sales: gross']:,.2f} with {totals['sales: shipping']:,.2f} shipping and "
        f"{totals['sales: tax']:,.2f} tax, after {totals['sales: discount']:,.2f} discount"
    )
    return True
