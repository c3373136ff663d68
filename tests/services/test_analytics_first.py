"""The first products and customers of random queries equal those of an independent recount, ties included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest

from services.contracts import orders, payments
from services.kit.domain.message import Message, Money
from services.kit.eventstore.port import RecordedEvent
from tests.conftest import execute
from tests.services import recount
from tests.services.read_side import ADDRESS, CARD, running

ORDERS = 90
CUSTOMERS = 12
QUERIES = 60
FIRST_DAY, DAYS = date(2018, 1, 1), 14 * 365
OUTCOMES = ("pending", "confirmed", "confirmed", "confirmed", "cancelled", "failed", "half back", "all back")
MONEY = ("revenue", "ordered")
OLDER = "UPDATE view_versions SET revision = 4 WHERE view = 'analytics'"


def life_of(number: int, chance: Random) -> list[Message]:
    """The events of an order; there are few different amounts, so that many customers are equal."""
    order_id, who, units = f"ord_{number}", chance.randint(1, CUSTOMERS), chance.choice((1, 1, 2, 5))
    currency, day = chance.choice(("GBP", "GBP", "JPY")), FIRST_DAY + timedelta(chance.randrange(DAYS))
    total = Money(amount=Decimal(units * 6), currency=currency)
    line = orders.OrderLine(product_id=f"p{who:02}", product_name="p", quantity=units, unit_price=Decimal(6))
    placed = orders.OrderCreated(
        order_id=order_id, customer_id=f"c{who:02}", lines=(line,), total=total, shipping_address=ADDRESS,
        payment_method=CARD, placed_at=datetime.combine(day, time(chance.randrange(24)), UTC),
    )  # fmt: skip
    outcome = chance.choice(OUTCOMES)
    given_back = Money(amount=total.amount / (2 if outcome == "half back" else 1), currency=currency)
    ends: Mapping[str, list[Message]] = {
        "pending": [],
        "cancelled": [orders.OrderCancelled(order_id=order_id, reason="no")],
        "failed": [orders.OrderFailed(order_id=order_id, code="declined", reason="no")],
    }
    confirmed = orders.OrderConfirmed(order_id=order_id, total=total)
    back = payments.ProviderReported(order_id=order_id, transaction_id="t", what="partly_refunded", amount=given_back)
    return [placed, *ends.get(outcome, [confirmed] if outcome == "confirmed" else [confirmed, back])]


def random_query(chance: Random) -> dict[str, str]:
    start = FIRST_DAY + timedelta(chance.randrange(DAYS))
    end = start + timedelta(chance.choice((40, 300, 500, 1_000, 2_000, 4_000)))
    if chance.random() < 0.3:
        start, end = start.replace(month=1, day=1), end.replace(month=1, day=1) + timedelta(366)
    return {
        "from": str(start),
        "to": str(end),
        "group_by": chance.choice(("customer", "customer", "product")),
        "sort": chance.choice(("-", "-", "-", "")) + chance.choice((*MONEY, "orders", "sold", "cancelled")),
        "limit": str(chance.choice((1, 1, 2, 3, 7))),
        "time_zone": chance.choice(("UTC", "UTC", "America/New_York", "Asia/Kathmandu")),
    }


def first(lives: Sequence[Mapping[str, Any]], params: Mapping[str, str]) -> list[tuple[str, Any]]:
    """The expected answer: the key and the sorted figure of each row."""
    found = recount.figures(lives, params)
    name, sign = params["sort"].removeprefix("-"), -1 if params["sort"].startswith("-") else 1
    keys = sorted(found, key=lambda key: (sign * found[key][name], key))
    each = [[key for key in keys if key[-1] == currency] for currency in ("GBP", "JPY")]
    return [("".join(key[4:6]), found[key][name]) for some in each for key in some[: int(params["limit"])]]


def shown(answer: Mapping[str, Any], params: Mapping[str, str]) -> list[tuple[str, Any]]:
    name = params["sort"].removeprefix("-")
    rows = [(row.get("customer_id") or row["product_id"], row[name]) for row in answer["figures"]]
    return [(key, Decimal(value["amount"]) if name in MONEY else value) for key, value in rows]


@pytest.mark.parametrize("seed", range(2))
async def test_the_first_products_and_customers_equal_a_recount(database, monkeypatch, seed: int) -> None:
    """The number of leaders and candidates does not change the answer."""
    chance, said = Random(seed), list[tuple[Message, RecordedEvent]]()
    async with running(database) as side:
        for number in range(ORDERS):
            for message in life_of(number, chance):
                service = type(message).type.split(".")[1]
                (event,) = await side.append(service, f"{service}-{number}", message)
                said.append((message, event))
        await side.show_all(said[-1][1])
        lives = recount.lives_of((message, event.time) for message, event in said)
        for _ in range(2 * QUERIES):
            monkeypatch.setattr("services.query.analytics.LEADERS_MORE", chance.choice((0, 0, 1, 100)))
            monkeypatch.setattr("services.query.analytics.CANDIDATES_MAX", chance.choice((2, 10_000)))
            params = random_query(chance)
            answer = await side.get(f"/analytics/orders?{urlencode(params)}")
            assert shown(answer, params) == first(lives, params), params


async def test_analytics_is_unavailable_while_an_older_version_serves(database) -> None:
    async with running(database) as side:
        placed = life_of(1, Random(0))[0]
        await side.show_all((await side.append("orders", "order-1", placed))[-1])
        await execute(database.read_owner_dsn, OLDER)
        for path in ("orders", "orders?group_by=customer&currency=GBP", "confirmation-times"):
            answer = await side.query.get(f"/analytics/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "read-side-moving")
