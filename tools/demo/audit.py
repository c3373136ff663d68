"""Reads the totals after a replay from every place that has them, and compares them with the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tools.demo.expected import Amount, Expected
from tools.importer.mailbox import Mailbox

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Comparison", "Sources", "audit"]

EVENT_STORE = "event store"
READ_SIDE = "read side"
PROVIDER = "provider"
STOCK = "stock"
PRICE_BOOK_OF_ORDERS = "price book"
MAILBOX = "mailbox"
OPERATIONS = "operations"
ANALYTICS = "analytics"

ORDERS_RECORDED = """
    SELECT
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.created.v1') AS placed,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.cancelled.v1') AS cancelled,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.failed.v1') AS failed,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.edited.v1') AS edited,
        sum((data->'total'->>'amount')::numeric) FILTER (WHERE type = 'zerocart.orders.order.created.v1')
        + coalesce(
            sum((data->'difference'->>'amount')::numeric) FILTER (WHERE type = 'zerocart.orders.order.edited.v1'), 0
        ) AS ordered
    FROM orders.events
"""
# a service replies to a repeated attempt with the same event, so only one of each order counts
MONEY_RECORDED = """
    SELECT coalesce(sum(amount), 0) FROM (
        SELECT DISTINCT ON (stream) (data->'amount'->>'amount')::numeric AS amount
        FROM payments.events WHERE type = $1 AND data->'amount' IS NOT NULL
        ORDER BY stream, version
    ) AS once
"""
REFUNDS_RECORDED = """
    SELECT coalesce(sum((told.data->'amount'->>'amount')::numeric), 0)
    FROM payments.events AS told JOIN payments.events AS wanted ON wanted.data->>'refund_id' = told.data->>'refund_id'
    WHERE told.type = 'zerocart.payments.provider.updated.v1' AND told.data->>'what' = 'refund_succeeded'
    AND wanted.type = 'zerocart.payments.refund.requested.v1'
"""
MONEY_MOVED = "SELECT kind, sum(amount) AS amount FROM payments.sandbox_ledger GROUP BY kind"
SHIPPED = """
    SELECT
        (SELECT sum((data->>'on_hand')::bigint) FROM inventory.events WHERE type = 'zerocart.inventory.stock.set.v1')
        - (SELECT sum(on_hand) FROM inventory.stock) AS shipped,
        (SELECT sum(reserved) FROM inventory.stock) AS held
"""
MAILS_RECORDED = """
    SELECT
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.notifications.confirmation.sent.v1') AS confirmations,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.notifications.cancellation.sent.v1') AS cancellations,
        count(DISTINCT stream) FILTER (
            WHERE type = 'zerocart.notifications.order_mail.sent.v1' AND data->>'template' = 'order_failed'
        ) AS failures
    FROM notifications.events
    WHERE (data->>'mailed')::boolean
"""
ACTIVATED = "SELECT count(DISTINCT stream) FROM users.events WHERE type = 'zerocart.users.user.activated.v1'"
KINDS = ("confirmation", "cancellation", "order_failed", "order_refunded", "order_held", "verification", "activated")
TIMED_KINDS = ("welcome_tips", "follow_up")
"""The duration of the replay decides whether these mails are sent, so they are not counted."""
PRODUCTS = "SELECT count(DISTINCT stream) FROM catalogue.events"
PRICE_BOOK = "SELECT count(*) FROM orders.price_book"
READ_PRODUCTS = "SELECT count(*) FROM {serving}.products"
LISTED_LINES = """
    SELECT count(*) FROM orders.events, json_array_elements(data->'lines') AS line
    WHERE type = 'zerocart.orders.order.created.v1' AND line->>'price_from' = 'catalogue'
"""
LEVELS = "SELECT product_id, on_hand FROM inventory.stock"
SERVING = "SELECT view || '_' || version FROM view_versions WHERE view = $1 AND state = 'serving'"
READ_LEVELS = "SELECT product_id, on_hand FROM {serving}.stock"
READ_ORDERS = "SELECT status, count(*) AS orders, sum(total) AS value FROM {serving}.orders GROUP BY status"
DEAD_LETTERS = "SELECT count(*) FROM operations.dead_letters WHERE status = 'waiting'"
FINAL = ("confirmed", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Sources:
    """The places that have totals: both databases, with their owners' passwords, the mails, and REST.

    `figures` reads the figures of analytics.
    """

    owner_dsn: str
    read_owner_dsn: str
    mails: Mailbox
    figures: Callable[[], Awaitable[Mapping[str, Any]]] | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One total at one place, and the expected one."""

    what: str
    where: str
    expected: Amount
    actual: Amount

    @property
    def balanced(self) -> bool:
        """Whether both are equal, to the last digit."""
        return self.expected == self.actual


async def audit(expected: Expected, sources: Sources) -> list[Comparison]:
    """Compare every total at every place that has it with the expected one."""
    import asyncpg

    store = await asyncpg.connect(sources.owner_dsn)
    try:
        read = await asyncpg.connect(sources.read_owner_dsn)
        try:
            found = [
                *await _orders(store, read),
                *await _prices(store, read),
                *await _money(store),
                *await _stock(store, read, expected),
            ]
        finally:
            await read.close()
        found += [*await _mails(store, sources.mails), ("dead letters", OPERATIONS, await store.fetchval(DEAD_LETTERS))]
        found += await _sales(sources)
    finally:
        await store.close()
    return [
        Comparison(what, where, expected.totals[what], 0 if value is None else value) for what, where, value in found
    ]


async def _shown(read: Connection, view: str, sql: str) -> list[Record]:
    """Rows of the version of a view that serves; `{serving}` in the query is replaced by its schema."""
    serving: str | None = await read.fetchval(SERVING, view)
    return await read.fetch(sql.format(serving=serving)) if serving else []


_Found = Sequence[tuple[str, str, Amount | None]]


async def _orders(store: Connection, read: Connection) -> _Found:
    (recorded,) = await store.fetch(ORDERS_RECORDED)
    rows = {row["status"]: row for row in await _shown(read, "orders", READ_ORDERS)}
    counts = Counter({status: int(row["orders"]) for status, row in rows.items()})
    values = {status: Decimal(row["value"]) for status, row in rows.items()}
    return [
        ("orders placed", EVENT_STORE, recorded["placed"]),
        ("orders placed", READ_SIDE, counts.total()),
        ("orders confirmed", READ_SIDE, counts["confirmed"]),
        ("orders cancelled", EVENT_STORE, recorded["cancelled"]),
        ("orders cancelled", READ_SIDE, counts["cancelled"]),
        ("orders failed", EVENT_STORE, recorded["failed"]),
        ("orders failed", READ_SIDE, counts["failed"]),
        ("orders unfinished", READ_SIDE, sum(n for status, n in counts.items() if status not in FINAL)),
        ("orders edited", EVENT_STORE, recorded["edited"]),
        ("value ordered", EVENT_STORE, recorded["ordered"]),
        ("value ordered", READ_SIDE, sum(values.values(), Decimal(0))),
        ("value confirmed", READ_SIDE, values.get("confirmed")),
    ]


async def _prices(store: Connection, read: Connection) -> _Found:
    (shown,) = await _shown(read, "products", READ_PRODUCTS) or [(0,)]
    return [
        ("products", EVENT_STORE, await store.fetchval(PRODUCTS)),
        ("products", PRICE_BOOK_OF_ORDERS, await store.fetchval(PRICE_BOOK)),
        ("products", READ_SIDE, shown[0]),
        ("lines at the shop's price", EVENT_STORE, await store.fetchval(LISTED_LINES)),
    ]


async def _sales(sources: Sources) -> _Found:
    """The figures of analytics as its clients read them."""
    if sources.figures is None:
        return []
    figures = await sources.figures()
    return [
        (f"sales: {name}", ANALYTICS, Decimal(figures[name]["amount"]) if figures else None)
        for name in ("gross", "discount", "shipping", "tax", "net", "refunded", "revenue")
    ]


async def _money(store: Connection) -> _Found:
    moved = {row["kind"]: Decimal(row["amount"]) for row in await store.fetch(MONEY_MOVED)}
    authorized, captured, voided, refunded = (
        moved.get(kind, Decimal(0)) for kind in ("authorize", "capture", "void", "refund")
    )
    given_back = await store.fetchval(MONEY_RECORDED, "zerocart.payments.payment.refunded.v1")
    given_back += await store.fetchval(REFUNDS_RECORDED)
    return [
        ("money captured", EVENT_STORE, await store.fetchval(MONEY_RECORDED, "zerocart.payments.payment.captured.v1")),
        ("money captured", PROVIDER, captured),
        ("money refunded", EVENT_STORE, given_back),
        ("money refunded", PROVIDER, refunded),
        ("money still held", PROVIDER, authorized - captured - voided),
    ]


async def _stock(store: Connection, read: Connection, expected: Expected) -> _Found:
    (moved,) = await store.fetch(SHIPPED)
    found: list[tuple[str, str, Amount | None]] = [
        ("units shipped", STOCK, int(moved["shipped"] or 0)),
        ("units still held", STOCK, int(moved["held"] or 0)),
    ]
    for where, connection, query in ((STOCK, store, LEVELS), (READ_SIDE, read, READ_LEVELS)):
        rows = await (_shown(read, "stock", query) if connection is read else connection.fetch(query))
        levels = {row["product_id"]: row["on_hand"] for row in rows}
        wrong = sum(levels.get(product_id) != on_hand for product_id, on_hand in expected.on_hand.items())
        found.append(("products with a wrong level", where, wrong))
    return found


async def _mails(store: Connection, mailbox: Mailbox) -> _Found:
    (recorded,) = await store.fetch(MAILS_RECORDED)
    kinds = Counter(message_id.partition(".")[0] for message_id in await mailbox.message_ids())
    others = kinds.total() - sum(kinds[kind] for kind in (*KINDS, *TIMED_KINDS))
    return [
        ("confirmation mails", EVENT_STORE, recorded["confirmations"]),
        ("confirmation mails", MAILBOX, kinds["confirmation"]),
        ("cancellation mails", EVENT_STORE, recorded["cancellations"]),
        ("cancellation mails", MAILBOX, kinds["cancellation"]),
        ("failure mails", EVENT_STORE, recorded["failures"]),
        ("failure mails", MAILBOX, kinds["order_failed"]),
        ("refund mails", MAILBOX, kinds["order_refunded"]),
        ("review mails", MAILBOX, kinds["order_held"]),
        ("accounts activated", EVENT_STORE, await store.fetchval(ACTIVATED)),
        ("verification mails", MAILBOX, kinds["verification"]),
        ("activation mails", MAILBOX, kinds["activated"]),
        ("other mails", MAILBOX, others),
    ]
