"""The totals after a replay beside the expected ones: waiting until they agree, and showing them."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from tools.demo.audit import Comparison, Sources, audit
from tools.demo.expected import Expected
from tools.patience import Patience
from tools.terminal import say

__all__ = ["settled", "show_books", "verdict"]

SETTLE_SECONDS_MAX = 30.0
"""How long no total may change while some are not as expected yet."""
SETTLE_POLL_SECONDS = 0.5


async def settled(
    expected: Expected, sources: Sources, refused: int, seconds_max: float = SETTLE_SECONDS_MAX
) -> list[Comparison]:
    """The totals as soon as all are as expected, or as they are when none has changed for `seconds_max`."""
    patience = Patience("the totals to settle", seconds_max, say)
    while True:
        at_the_edge = Comparison("cancellations refused", "edge", expected.totals["cancellations refused"], refused)
        entries = [*await audit(expected, sources), at_the_edge]
        if all(entry.balanced for entry in entries) or patience.is_over([entry.actual for entry in entries]):
            return entries
        await asyncio.sleep(SETTLE_POLL_SECONDS)


def show_books(entries: list[Comparison]) -> None:
    """Show every total beside the expected one."""
    say()
    say(f"{'the books':<30}{'kept by':<14}{'must be':>14}{'is':>14}")
    for entry in entries:
        mark = "" if entry.balanced else "   <- differs"
        say(f"{entry.what:<30}{entry.where:<14}{_shown(entry.expected):>14}{_shown(entry.actual):>14}{mark}")
    say()


def _shown(amount: int | Decimal) -> str:
    return f"{amount:,.2f}" if isinstance(amount, Decimal) else f"{amount:,}"


def verdict(entries: list[Comparison]) -> bool:
    """Tell whether all totals are as expected."""
    wrong = [f"{entry.what} ({entry.where})" for entry in entries if not entry.balanced]
    if wrong:
        say(f"books do not balance: {', '.join(wrong)}")
        return False
    totals = {entry.what: entry.expected for entry in entries}
    say(
        f"books balance: {totals['orders placed']:,} orders, GBP {totals['money captured']:,.2f} captured, "
        f"{totals['money refunded']:,.2f} refunded, {totals['units shipped']:,} units shipped"
    )
    return True
