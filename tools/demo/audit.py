"""The actual totals of a replay, read from every place that has them, beside the expected ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from tools.demo.expected import Amount, Expected
from tools.importer.mailbox import Mailbox

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Comparison", "Sources", "audit"]

LOG = "log"
READ_SIDE = "read side"
PROVIDER = "provider"
SHELVES = "shelves"
MAILBOX = "mailbox"
OPERATIONS = "operations"

ORDERS_SAID = """
    SELECT
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.created.v1') AS placed,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.cancelled.v1') AS cancelled,
        count(DISTINCT stream) FILTER (WHERE type = 'zerocart.orders.order.failed.v1') AS failed,
        sum((data->'total'->>'amount')::numeric) FILTER (WHERE type = 'zerocart.orders.order.created.v1') AS ordered
    FROM orders.events
"""
# a service may answer a repeated attempt with the same fact: one for each order counts
MONEY_SAID = """
    SELECT coalesce(sum(amount), 0) FROM (
        SELECT DISTINCT ON (stream) (data->'amount'->>'amount')::numeric AS amount
        FROM payments.events WHERE type = $1 AND data->'amount' IS NOT NULL
        ORDER BY stream, version
    ) AS once
"""
MONEY_MOVED = "SELECT kind, sum(amount) AS amount FROM payments.sandbox_ledger GROUP BY kind"
SHIPPED = """
    SELECT
        (SELECT sum((data->>'on_hand')::bigint) FROM inventory.events WHERE type = 'zerocart.inventory.stock.set.v1')
        - (SELECT sum(on_hand) FROM inventory.stock) AS shipped,
        (SELECT sum(reserved) FROM inventory.stock) AS held
"""
MAILS_SAID = """
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
KINDS = ("confirmation", "cancellation", "order_failed", "verification", "activated")
TIMED_KINDS = ("welcome_tips", "follow_up")
"""Whether these mails are sent depends on how long the replay takes."""
LEVELS = "SELECT product_id, on_hand FROM inventory.stock"
SERVING = "SELECT view || '_' || version FROM view_versions WHERE view = $1 AND state = 'serving'"
READ_LEVELS = "SELECT product_id, on_hand FROM {serving}.stock"
READ_ORDERS = "SELECT status, count(*) AS orders, sum(total) AS value FROM {serving}.orders GROUP BY status"
DEAD_LETTERS = "SELECT count(*) FROM operations.dead_letters WHERE status = 'waiting'"
AT_REST = ("confirmed", "cancelled", "failed")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the totals are: both databases, as their owner, and the mails."""

    owner_dsn: str
    read_owner_dsn: str
    mails: Mailbox


@dataclass(frozen=True, slots=True)
class Comparison:
    """One total at one place, beside the expected one."""

    what: str
    where: str
    expected: Amount
    actual: Amount

    @property
    def balanced(self) -> bool:
        """Whether both are equal, to the last digit."""
        return self.expected == self.actual


async def audit(expected: Expected, sources: Sources) -> list[Comparison]:
    """Compare every total at every place that has it."""
    import asyncpg

    log = await asyncpg.connect(sources.owner_dsn)
    try:
        read = await asyncpg.connect(sources.read_owner_dsn)
        try:
            found = [*await _orders(log, read), *await _money(log), *await _stock(log, read, expected)]
        finally:
            await read.close()
        found += [*await _mails(log, sources.mails), ("dead letters", OPERATIONS, await log.fetchval(DEAD_LETTERS))]
    finally:
        await log.close()
    return [
        Comparison(what, where, expected.totals[what], 0 if value is None else value) for what, where, value in found
    ]


async def _shown(read: Connection, view: str, sql: str) -> list[Record]:
    """Rows of the version of a view that serves; `{serving}` in the query is replaced by its schema."""
    serving: str | None = await read.fetchval(SERVING, view)
    return await read.fetch(sql.format(serving=serving)) if serving else []


_Found = Sequence[tuple[str, str, Amount | None]]


async def _orders(log: Connection, read: Connection) -> _Found:
    (said,) = await log.fetch(ORDERS_SAID)
    rows = {row["status"]: row for row in await _shown(read, "orders", READ_ORDERS)}
    counts = Counter({status: int(row["orders"]) for status, row in rows.items()})
    values = {status: Decimal(row["value"]) for status, row in rows.items()}
    return [
        ("orders placed", LOG, said["placed"]),
        ("orders placed", READ_SIDE, counts.total()),
        ("orders confirmed", READ_SIDE, counts["confirmed"]),
        ("orders cancelled", LOG, said["cancelled"]),
        ("orders cancelled", READ_SIDE, counts["cancelled"]),
        ("orders failed", LOG, said["failed"]),
        ("orders failed", READ_SIDE, counts["failed"]),
        ("orders not at rest", READ_SIDE, sum(n for status, n in counts.items() if status not in AT_REST)),
        ("value ordered", LOG, said["ordered"]),
        ("value ordered", READ_SIDE, sum(values.values(), Decimal(0))),
        ("value confirmed", READ_SIDE, values.get("confirmed")),
    ]


async def _money(log: Connection) -> _Found:
    moved = {row["kind"]: Decimal(row["amount"]) for row in await log.fetch(MONEY_MOVED)}
    authorized, captured, voided, refunded = (
        moved.get(kind, Decimal(0)) for kind in ("authorize", "capture", "void", "refund")
    )
    return [
        ("money captured", LOG, await log.fetchval(MONEY_SAID, "zerocart.payments.payment.captured.v1")),
        ("money captured", PROVIDER, captured),
        ("money refunded", LOG, await log.fetchval(MONEY_SAID, "zerocart.payments.payment.refunded.v1")),
        ("money refunded", PROVIDER, refunded),
        ("money still held", PROVIDER, authorized - captured - voided),
    ]


async def _stock(log: Connection, read: Connection, expected: Expected) -> _Found:
    (moved,) = await log.fetch(SHIPPED)
    found: list[tuple[str, str, Amount | None]] = [
        ("units shipped", SHELVES, int(moved["shipped"] or 0)),
        ("units still held", SHELVES, int(moved["held"] or 0)),
    ]
    for where, connection, query in ((SHELVES, log, LEVELS), (READ_SIDE, read, READ_LEVELS)):
        rows = await (_shown(read, "stock", query) if connection is read else connection.fetch(query))
        levels = {row["product_id"]: row["on_hand"] for row in rows}
        wrong = sum(levels.get(product_id) != on_hand for product_id, on_hand in expected.on_hand.items())
        found.append(("products with a wrong level", where, wrong))
    return found


async def _mails(log: Connection, mailbox: Mailbox) -> _Found:
    (said,) = await log.fetch(MAILS_SAID)
    kinds = Counter(message_id.partition(".")[0] for message_id in await mailbox.message_ids())
    others = kinds.total() - sum(kinds[kind] for kind in (*KINDS, *TIMED_KINDS))
    return [
        ("confirmation mails", LOG, said["confirmations"]),
        ("confirmation mails", MAILBOX, kinds["confirmation"]),
        ("cancellation mails", LOG, said["cancellations"]),
        ("cancellation mails", MAILBOX, kinds["cancellation"]),
        ("failure mails", LOG, said["failures"]),
        ("failure mails", MAILBOX, kinds["order_failed"]),
        ("accounts activated", LOG, await log.fetchval(ACTIVATED)),
        ("verification mails", MAILBOX, kinds["verification"]),
        ("activation mails", MAILBOX, kinds["activated"]),
        ("other mails", MAILBOX, others),
    ]
