"""After any events in pages of any size, analytics answers what a recount from the event store gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts import orders, payments
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message, Money
from services.kit.eventstore.port import Position
from services.kit.eventstore.postgres import PostgresEventReader
from services.orders.pricing import Basket, WantedLine, price
from services.projection.building import Builder
from services.projection.versions import Version
from services.projection.views import VIEWS
from services.projection.views.analytics import ANALYTICS_VIEW
from tests.conftest import Database, execute
from tests.services import recount
from tests.services.read_side import ADDRESS, AT, CARD, ReadSide, built, pages_of, running, started

EXAMPLES = 10
STEPS_MAX = 200
LATE, EARLY = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))
PLACED = (
    None,
    datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2024, 12, 30, tzinfo=UTC),  # a Monday, of 2025-W01
    datetime(2024, 12, 31, 11, tzinfo=EARLY),
    datetime(2025, 12, 31, 12, tzinfo=EARLY),  # 2026-01-01 in UTC
    datetime(2026, 1, 1, 13, 59, tzinfo=LATE),  # 2025-12-31 in UTC
    datetime(2026, 12, 28, tzinfo=UTC),  # a Monday, of 2026-W53
    datetime(2027, 1, 3, 23, 59, tzinfo=UTC),  # of the same week
    datetime(1, 1, 1, tzinfo=LATE),  # before the calendar of UTC begins
)
RANGES = (
    {"from": "2024-01-01", "to": "2028-01-01"},
    {"from": "2024-02-29", "to": "2026-12-30"},
    {"from": "2025-12-31", "to": "2026-01-01"},
    {"from": "2026-02-10", "to": "2027-01-04"},
)
QUERIES: Sequence[Mapping[str, Any]] = (
    {},
    {"interval": "month"},
    {"interval": "week"},
    {"interval": "week", "group_by": "status"},
    {"group_by": "status"},
    {"group_by": "country", "currency": "GBP"},
    {"group_by": "product"},
    {"group_by": "customer"},
    {"status": "cancelled", "interval": "month"},
    {"country": "GB"},
    {"product_id": "=mug", "interval": "week"},
    {"customer_id": "cus_1", "interval": "month", "currency": "JPY"},
    {"group_by": "source"},
    {"source": "old-shop", "interval": "month", "group_by": "country"},
    {"group_by": ("country", "product"), "sort": "-units"},
    {"group_by": "product", "interval": "month", "sort": "-orders"},
    {"group_by": "product", "status": "delivered"},
    {"group_by": "product", "customer_id": "cus_1", "interval": "month"},
    {"group_by": ("status", "customer")},
    {"group_by": "customer", "interval": "month"},
    {"group_by": "customer", "sort": "-net"},
    {"group_by": "product", "sort": "-discount"},
    {"group_by": ("status", "country"), "customer_id": "cus_2"},
    {"group_by": "customer", "product_id": '"quoted"'},
    {"product_id": "a,b", "country": "GB", "interval": "day", "from": "2025-12-01", "to": "2026-03-01"},
)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati")
KINDS = (
    "started", "moved", "confirmed", "given back", "half given back", "nothing to give back", "reported",
    "partly reported", "refund failed", "disputed", "cancelling", "cancelled", "failed", "shipped", "delivered", "created",
)  # fmt: skip
_numbers = count(1)
PRICES = (
    st.sampled_from(("0", "5", "33.3333", "100")),
    st.sampled_from(("0", "10")),
    st.sampled_from(("0", "7")),
    st.sampled_from(("0", "19", "8.875")),
    st.booleans(),
)
"""Of an order: discounts of its last line and of the order in percent, shipping cost, tax rate, tax included."""


def priced(
    lines: list[orders.OrderLine], currency: str, off_line: str, off: str, shipping: str, rate: str, included: bool
) -> dict[str, Any] | None:
    """The amounts of an order by the rules of orders; None if there is nothing to pay."""
    wanted = [WantedLine(**{name: getattr(line, name) for name in WANTED}, tax_rate=Decimal(rate)) for line in lines]
    wanted[-1] = replace(wanted[-1], discount=orders.Discount(percent=Decimal(off_line)))
    basket = Basket(
        lines=tuple(wanted), currencies=frozenset({currency}), discounts=(orders.Discount(percent=Decimal(off)),),
        shipping_cost=Decimal(shipping), shipping_tax_rate=Decimal(rate), tax_included=included,
    )  # fmt: skip
    found = price(basket, {}, AT)
    return None if isinstance(found, Rejected) else dict(found)


WANTED = ("product_id", "product_name", "quantity", "unit_price")


@st.composite
def contents(draw: st.DrawFn) -> dict[str, Any]:
    lines = draw(
        st.lists(
            st.builds(
                lambda product, quantity, price: orders.OrderLine(
                    product_id=product, product_name=product.title(), quantity=quantity, unit_price=Decimal(price)
                ),
                st.sampled_from(("=mug", "pot", "a,b", '"quoted"')),
                st.integers(1, 7),
                st.sampled_from(("0.125", "6.25", "1000", "0.000001", "0.005")),
            ),
            min_size=1,
            max_size=4,
        )
    )
    currency = draw(st.sampled_from(("GBP", "JPY")))
    exact = sum((line.quantity * line.unit_price for line in lines), Decimal(0))
    minor_unit = Decimal("0.01") if currency == "GBP" else Decimal(1)
    country = draw(st.sampled_from(("GB", "JP", "DE")))
    amounts: dict[str, Any] = {
        "lines": tuple(lines),
        "total": Money(amount=max(exact, minor_unit).quantize(minor_unit, ROUND_HALF_UP), currency=currency),
    }
    if draw(st.booleans()):  # an order with all amounts; the others are as events were before
        amounts = draw(st.builds(partial(priced, lines, currency), *PRICES)) or amounts
    return {
        "customer_id": draw(st.sampled_from((None, "cus_1", "cus_2"))),
        "email": "ann@example.com",
        **amounts,
        "shipping_address": ADDRESS.model_copy(update={"country": country}),
        "payment_method": CARD,
        "placed_at": draw(st.sampled_from(PLACED)),
    }


def event_of(kind: str, order_id: str, content: Mapping[str, Any]) -> Message:
    total: Money = content["total"]
    half = Money(amount=total.amount / 2, currency=total.currency)
    reply: Any = {"saga_id": order_id, "step": "capture_payment", "undo": True}
    report: Any = {"order_id": order_id, "transaction_id": "t"}
    elsewhere = ADDRESS.model_copy(update={"country": "FR"})
    events: dict[str, Message] = {
        "drafted": orders.OrderDrafted(order_id=order_id, **content),
        "created": orders.OrderCreated(order_id=order_id, **content),
        "started": started(order_id),
        "moved": orders.OrderUpdated(order_id=order_id, shipping_address=elsewhere),
        "confirmed": orders.OrderConfirmed(order_id=order_id, total=total),
        "given back": payments.PaymentRefunded(**reply, amount=total),
        "half given back": payments.PaymentRefunded(**reply, attempt=2, amount=half),
        "nothing to give back": payments.PaymentRefunded(**reply),
        "reported": payments.ProviderReported(**report, what="refunded"),
        "partly reported": payments.ProviderReported(**report, what="partly_refunded", amount=half),
        "refund failed": payments.ProviderUpdated(
            **report,
            what="refund_failed",
            amount=half,
            reference="re_1",
            refunded=total.model_copy(update={"amount": Decimal(0)}),
        ),
        "disputed": payments.ProviderReported(**report, what="disputed", amount=total),
        "cancelling": orders.OrderCancellationRequested(order_id=order_id, reason="no"),
        "cancelled": orders.OrderCancelled(order_id=order_id, reason="no"),
        "failed": orders.OrderFailed(order_id=order_id, code="declined", reason="no"),
        "shipped": orders.OrderShipped(order_id=order_id, tracking_number="T1"),
        "delivered": orders.OrderDelivered(order_id=order_id),
    }
    return events[kind]


def imported(order_id: str, content: Mapping[str, Any], status: str) -> Message:
    details = {name: value for name, value in content.items() if name not in ("payment_method", "placed_at")}
    placed = content["placed_at"] or datetime(2026, 2, 28, tzinfo=UTC)
    total = content["total"]
    refunded = {None: None, 1: total, 2: Money(amount=total.amount / 4, currency=total.currency)}
    details["refunded"] = refunded[placed.month if placed.month < 3 else None]
    return orders.OrderImported.model_validate(
        {**details, "order_id": order_id, "source": "old-shop", "number": "7", "placed_at": placed, "status": status}
    )


REVISIONS = ("corrected", "corrected as cancelled", "undone", "again")


def revised(order_id: str, content: Mapping[str, Any], how: str) -> Message:
    if how == "undone":
        return orders.OrderImportUndone(order_id=order_id, source="old-shop", customer_id=content["customer_id"])
    message = imported(order_id, content, "cancelled" if how == "corrected as cancelled" else "delivered")
    return message if how == "again" else orders.OrderImportCorrected.of(message)


@st.composite
def histories(draw: st.DrawFn) -> list[Message]:
    """Interleaved events of a few orders; events may be repeated and may make no sense."""
    lives: list[Iterator[Message]] = []
    for number in range(draw(st.integers(0, 6))):
        content, order_id = draw(contents()), f"ord_{number}"
        first = draw(st.sampled_from((("created",), ("drafted", "moved", "created"), ("drafted", "cancelled"))))
        kinds = (*first, *draw(st.lists(st.sampled_from(KINDS), max_size=8)))
        said = [event_of(kind, order_id, content) for kind in kinds]
        if draw(st.booleans()):
            status = draw(st.sampled_from(("confirmed", "shipped", "delivered", "cancelled")))
            said = [imported(order_id, content, status), *said[:-1]]
            said += [revised(order_id, draw(contents()), each) for each in draw(st.lists(st.sampled_from(REVISIONS)))]
        lives.append(iter(said))
    events: list[Message] = []
    while lives:
        turn = draw(st.integers(0, len(lives) - 1))
        event = next(lives[turn], None)
        if event is None:
            del lives[turn]
        else:
            events.append(event)
    return events


@given(
    history=histories(),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=20),
    restarts=st.lists(st.booleans(), min_size=1, max_size=20),
    turns=st.lists(st.integers(0, len(RANGES) * len(QUERIES) - 1), min_size=1, max_size=20),
)
@settings(max_examples=EXAMPLES)
def test_figures_equal_a_recount_after_every_page(postgres_server, template, history, sizes, restarts, turns) -> None:
    asyncio.run(compare(postgres_server, template, history, sizes, restarts, turns))


@asynccontextmanager
async def fresh(server: Any, template: str) -> AsyncGenerator[Database]:
    name = f"recount_{next(_numbers)}"
    for suffix in ("", "_read"):
        await execute(server.dsn(), f'CREATE DATABASE "{name}{suffix}" TEMPLATE "{template}{suffix}"')
    yield Database(server, name)
    for suffix in ("", "_read"):
        await execute(server.dsn(), f'DROP DATABASE "{name}{suffix}" WITH (FORCE)')


Said = list[tuple[Position, Message, datetime]]


async def compare(
    server: Any, template: str, history: list[Message], sizes: list[int], restarts: list[bool], turns: list[int]
) -> None:
    async with fresh(server, template) as database, running(database) as side:
        said = await tell(side, history)
        reader = PostgresEventReader(database.dsn("projection"))
        pages = pages_of(database, reader)
        await Builder(pages).create_missing()
        version: Version | None = None
        for step in range(STEPS_MAX):
            if restarts[step % len(restarts)]:
                await pages.database.close()
                pages = pages_of(database, reader)
            version, more = await pages.build(ANALYTICS_VIEW, 1, sizes[step % len(sizes)])
            assert version is not None
            await check(side, said, version.checkpoint, [turns[step % len(turns)]])
            if not more:
                break
        assert version is not None
        await check(side, said, version.checkpoint, range(len(history) % 3, len(RANGES) * len(QUERIES), 3))
        assert version.stopped_at is None
        await rebuilt_beside(side)
        await pages.database.close()
        await reader.close()


async def tell(side: ReadSide, history: Sequence[Message]) -> Said:
    said: Said = []
    for message in history:
        service = type(message).type.split(".")[1]
        (event,) = await side.append(service, f"{service}-{message.key_value}", message)
        said.append((event.position, message, event.time))
    return said


async def check(side: ReadSide, said: Said, checkpoint: Position, turns: Sequence[int]) -> None:
    lives = recount.lives_of((message, at) for position, message, at in said if position <= checkpoint)
    for turn in turns:
        zone = ZONES[turn % len(ZONES)]
        params = {**RANGES[turn % len(RANGES)], **QUERIES[turn // len(RANGES)], "time_zone": zone}
        answer = await side.get(f"/analytics/orders?{urlencode(params, doseq=True)}")
        assert recount.answered(answer) == recount.figures(lives, params), params
    zone = ZONES[len(said) % len(ZONES)]
    times = await side.get(
        f"/analytics/confirmation-times?from=2024-01-01&to=2028-01-01&interval=week&time_zone={zone}"
    )
    found = recount.confirmation_times(lives, "2024-01-01", "2028-01-01", "week", zone)
    shown = {each["period"]: (each["orders"], Decimal(each["average_seconds"])) for each in times["times"]}
    third = Decimal("0.001")
    assert shown == {
        point: (len(took), (sum(took, Decimal(0)) / len(took)).quantize(third, ROUND_HALF_UP))
        for point, took in found.items()
    }


async def rebuilt_beside(side: ReadSide) -> None:
    await side.projection.post("/projection/views/analytics/rebuild", json={"then": "switch_if_equal"})
    shown = await built(side.projection, "analytics")
    same = {"only_old": 0, "only_new": 0, "different": 0, "examples": None}
    assert shown[-1]["compared"] == {table.name: same for table in VIEWS["analytics"].tables}
    assert shown[-1]["state"] == "serving"


async def test_the_recount_gives_figures_worked_out_by_hand(database) -> None:
    """Without this, the recount and the view could share a mistake."""
    content: dict[str, Any] = {
        "customer_id": "cus_1", "lines": (), "total": Money(amount=Decimal("10.00"), currency="GBP"),
        "shipping_address": ADDRESS, "payment_method": CARD,
    }  # fmt: skip
    kinds = {
        "a": ("created", "started", "confirmed", "partly reported"),
        "b": ("created", "cancelled"),
        "c": ("drafted",),
    }
    said = [(event_of(kind, order, content), AT) for order, life in kinds.items() for kind in life]
    (numbers,) = recount.figures(recount.lives_of(said), {"from": "2026-03-01", "to": "2026-03-02"}).values()
    assert (numbers["orders"], numbers["sold"], numbers["cancelled"], numbers["refunds"]) == (2, 1, 1, 1)
    assert (numbers["ordered"], numbers["revenue"], numbers["refunded"]) == (Decimal(20), Decimal(5), Decimal(5))
    assert (numbers["average"], numbers["cancelled_share"]) == (Decimal(5), Decimal("0.5"))
