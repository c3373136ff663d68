"""Who comes first is told without adding up everybody: it is who a recount puts first, ties and all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import orders, payments
from services.kit.log import Recorded
from services.kit.message import Message, Money
from tests.conftest import execute
from tests.services import recount
from tests.services.read_side import ADDRESS, CARD, ReadSide, running
from tests.services.test_analytics_recount import fresh

EXAMPLES = 10
OLDER = "DELETE FROM analytics_1.by_customer WHERE length(period) = 3; UPDATE view_versions SET revision = 2 WHERE view = 'analytics'"
DAYS = st.one_of(
    st.dates(date(2018, 1, 1), date(2031, 12, 31)),
    st.sampled_from([date(2019, 12, 31), date(2020, 1, 1), date(2025, 3, 1), date(2025, 3, 2), date(2029, 12, 31)]),
)


@dataclass(frozen=True)
class Life:
    """An order: whose, when, how much of what, and what became of it."""

    customer: int
    day: date
    units: int
    currency: str
    outcome: str


@dataclass(frozen=True)
class Asking:
    """Some questions, and how soon the service is to give up telling the first ones from few keys."""

    questions: Sequence[Mapping[str, str]]
    heads_more: int
    found_max: int


LIVES = st.builds(
    Life,
    st.integers(1, 12),
    DAYS,
    st.integers(1, 4),
    st.sampled_from(("GBP", "GBP", "JPY")),
    st.sampled_from(("", "confirmed", "confirmed", "cancelled", "failed", "half back", "all back")),
)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, str]:
    start, end = sorted(draw(st.lists(DAYS, min_size=2, max_size=2, unique=True)))
    sort = draw(st.sampled_from(("revenue", "ordered", "orders", "sold", "cancelled")))
    return {
        "from": str(start),
        "to": str(end),
        "group_by": draw(st.sampled_from(("customer", "customer", "product"))),
        "sort": draw(st.sampled_from(("-", "-", ""))) + sort,
        "limit": str(draw(st.integers(1, 5))),
    }


ASKINGS = st.builds(
    Asking, st.lists(questions(), min_size=20, max_size=20), st.sampled_from((0, 1, 100)), st.sampled_from((1, 10_000))
)


def told(number: int, life: Life) -> list[Message]:
    order_id, product = f"ord_{number}", f"p{life.customer:02}"
    total = Money(amount=Decimal(life.units * 6), currency=life.currency)
    line = orders.OrderLine(product_id=product, product_name=product, quantity=life.units, unit_price=Decimal(6))
    placed = orders.OrderCreated(
        order_id=order_id, customer_id=f"cus_{life.customer:02}", lines=(line,), total=total, shipping_address=ADDRESS,
        payment_method=CARD, placed_at=datetime.combine(life.day, time(12), UTC),
    )  # fmt: skip
    confirmed = orders.OrderConfirmed(order_id=order_id, total=total)
    part = Money(amount=total.amount / 2, currency=life.currency) if life.outcome == "half back" else total
    back = payments.ProviderReported(order_id=order_id, transaction_id="t", what="partly_refunded", amount=part)
    ends: Mapping[str, list[Message]] = {
        "": [],
        "confirmed": [confirmed],
        "cancelled": [orders.OrderCancelled(order_id=order_id, reason="no")],
        "failed": [orders.OrderFailed(order_id=order_id, code="declined", reason="no")],
    }
    return [placed, *ends.get(life.outcome, [confirmed, back])]


def first(lives: Sequence[Mapping[str, Any]], asked: Mapping[str, str]) -> list[tuple[str, Any]]:
    """What is to be answered: the key and what it is sorted by, of each in turn."""
    found = recount.figures(lives, asked)
    name, sign = asked["sort"].removeprefix("-"), -1 if asked["sort"].startswith("-") else 1
    keys = sorted(found, key=lambda key: (key[-1], sign * found[key][name], key))
    each = [[key for key in keys if key[-1] == currency] for currency in ("GBP", "JPY")]
    return [("".join(key[3:5]), found[key][name]) for some in each for key in some[: int(asked["limit"])]]


async def compare(server: Any, template: str, lives: Sequence[Life], askings: Mapping[bool, Asking]) -> None:
    async with fresh(server, template) as database, running(database) as side:
        said: list[tuple[Message, Recorded]] = []
        for number, life in enumerate(lives):
            for message in told(number, life):
                service = type(message).type.split(".")[1]
                (event,) = await side.append(service, f"{service}-{number}", message)
                said.append((message, event))
        await side.show_all(said[-1][1])
        counted = recount.lives_of((message, event.time) for message, event in said)
        for older, asking in askings.items():
            if older:
                await execute(database.read_owner_dsn, OLDER)
            await check(side, counted, asking)


async def check(side: ReadSide, lives: Sequence[Mapping[str, Any]], asking: Asking) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("services.query.sums.HEADS_MORE", asking.heads_more)
        patched.setattr("services.query.sums.FOUND_MAX", asking.found_max)
        for asked in asking.questions:
            name = asked["sort"].removeprefix("-")
            rows = (await side.get(f"/analytics/orders?{urlencode(asked)}"))["figures"]
            shown = [
                (
                    row.get("customer_id") or row["product_id"],
                    Decimal(row[name]["amount"]) if name in ("revenue", "ordered") else row[name],
                )
                for row in rows
            ]
            assert shown == first(lives, asked), asked


@given(lives=st.lists(LIVES, min_size=1, max_size=60), now=ASKINGS, before=ASKINGS)
@settings(max_examples=EXAMPLES)
def test_the_first_are_those_of_a_recount(postgres_server, template, lives, now, before) -> None:
    """Also while a version serves in which there are no decades yet."""
    asyncio.run(compare(postgres_server, template, lives, {False: now, True: before}))
