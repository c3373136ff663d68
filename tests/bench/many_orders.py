"""Fills a read database with any number of orders: the projection writes real ones, which are then multiplied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from services.contracts import orders
from services.kit.domain.message import Message, Money
from services.kit.eventstore.port import Position, RecordedEvent
from services.projection.versions import ReadDatabase
from services.projection.view import DecodedEvent
from services.projection.views import VIEWS
from tools.importer.order_source import OrderSource, Placement

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["fill"]

PAGE_ORDERS = 200
CITIES = ("Leeds", "London", "York", "Bath", "Dublin", "Paris", "Berlin", "Lisbon", "Oslo", "Athens")
STATES = ("delivered",) * 80 + ("shipped",) * 8 + ("confirmed",) * 6 + ("cancelled",) * 4 + ("failed", "processing")
MINUTES_APART = 13

COPIED_ID = "'ord_' || lpad(k::text, 4, '0') || '_' || substr(o.order_id, 5)"
COPIES = f"""
    SELECT o.*, k, {COPIED_ID} AS copy, o.created_at + k * interval '{MINUTES_APART} minutes' AS at,
           (array['{"','".join(STATES)}'])[1 + abs(hashtext(o.order_id || k)) % {len(STATES)}] AS state,
           -- each customer of each copy has a name of eight letters, so that the vocabulary grows as with real customers
           substr(translate(md5(coalesce(customer_id, '') || k), '0123456789', 'ghijklmnop'), 1, 8) AS name
    FROM orders o CROSS JOIN generate_series(1, $1::integer) AS k ORDER BY at
"""
MULTIPLY = (
    f"""
    CREATE TEMPORARY TABLE copies AS {COPIES}
    """,
    """
    INSERT INTO order_texts
    SELECT copy, at, document || setweight(('''' || name || ''':1')::tsvector, 'A')
    FROM copies JOIN order_texts USING (order_id) ORDER BY at
    """,
    """
    INSERT INTO orders
    SELECT copy, customer_id || '-' || k, email, customer_name || ' ' || name, state, reason, total, refunded, currency, city, country,
           priority, line_count, tracking_number, at, at + interval '2 days' * random(), source, number
    FROM copies ORDER BY at
    """,
    """
    INSERT INTO order_lines
    SELECT copy, line, product_id, product_name, quantity, unit_price, at FROM copies JOIN order_lines USING (order_id)
    ORDER BY copy, line
    """,
    """
    INSERT INTO vocabulary SELECT word, ndoc FROM ts_stat('SELECT document FROM order_texts')
    ON CONFLICT (term) DO UPDATE SET orders = excluded.orders
    """,
)
INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'orders_1' AND indexname NOT LIKE '%_pkey'
"""


async def fill(read_dsn: str, owner: Connection, file: Path, orders_wanted: int) -> int:
    """Create the views and fill the view `orders`; returns the number of orders."""
    database = ReadDatabase(read_dsn)
    async with database.making() as session:
        for view in VIEWS.values():
            await session.make(view, 1, "serving", "wait", 1)
    real = await _project(database, file, orders_wanted)
    await database.close()
    await _multiply(owner, max(orders_wanted // real - 1, 0))
    return int(await owner.fetchval("SELECT count(*) FROM orders_1.orders"))


async def _project(database: ReadDatabase, file: Path, orders_max: int) -> int:
    steps = (step for step in OrderSource(file, orders_max).steps() if isinstance(step, Placement))
    events = (event for step in steps for event in _life(step))
    done = 0
    while page := list(islice(events, PAGE_ORDERS)):
        async with database.view("orders") as session:
            await VIEWS["orders"].feed(session.rows(session.versions[0]), page)
        done += sum(isinstance(each.message, orders.OrderCreated) for each in page)
    return done


def _life(step: Placement) -> Iterator[DecodedEvent]:
    order, order_id = step.order, f"ord_{step.number:06}"
    at = order.at
    who = order.customer
    lines = tuple(
        orders.OrderLine(
            product_id=line.product_id,
            product_name=line.product_name,
            quantity=line.quantity,
            unit_price=line.unit_price,
        )
        for line in order.lines
    )
    city = CITIES[step.number % len(CITIES)]
    address = orders.Address(name=who.name, line1="1 Road", city=city, country=order.place.country)
    created = orders.OrderCreated(
        order_id=order_id, customer_id=who.id or None, email=who.email or None, customer_name=who.name,
        lines=lines, total=Money(amount=Decimal(order.total), currency=order.currency), shipping_address=address,
        payment_method=orders.PaymentMethod(token="tok_approve"), placed_at=at,
    )  # fmt: skip
    total = created.total
    said: Sequence[Message] = (created, orders.OrderConfirmed(order_id=order_id, total=total))
    for version, message in enumerate(said, 1):
        meta = f'{{"partitionkey": "{order_id}"}}'
        place = Position(2 * step.number + version)
        stream = f"order-{order_id}"
        yield DecodedEvent(
            RecordedEvent("orders", stream, version, place, message.type, at, message.write(), meta), message
        )


async def _multiply(owner: Connection, copies: int) -> None:
    await owner.execute(
        "SET search_path = orders_1, public; SET maintenance_work_mem = '1GB'; SET work_mem = '256MB';"
        " SET synchronous_commit = off"
    )
    indexes = [tuple(row) for row in await owner.fetch(INDEXES)]
    await owner.execute(";".join(f"DROP INDEX orders_1.{name}" for name, _ in indexes))
    for number, statement in enumerate(MULTIPLY):
        await owner.execute(statement, *([copies] if not number else []), timeout=3_600)
    for _, definition in indexes:
        await owner.execute(definition, timeout=3_600)
    await owner.execute("VACUUM (ANALYZE) orders, order_texts, order_lines, vocabulary", timeout=3_600)
