"""Orders that a text finds, and why they were found.

By relevance only so many orders are ranked, the newest of those that match: a word that half of all orders have would
cost a look at half of all orders, and says nothing about which of them is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, Subquery, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from services.query.filters import OrderFilter, conditions
from services.query.highlights import highlights
from services.query.listing import NEWEST_FIRST, sorting_of
from services.query.paging import Counted, Listed, Page, Sorting, Window, count_of, digest_of, part_of
from services.query.shown import order
from services.query.snapshots import Row, Snapshot
from services.query.tables import LINES, ORDERS, TEXTS
from services.query.words import Meaning, meaning_of

__all__ = ["RANKED_MAX", "RELEVANCE", "every_order_with", "orders_with"]

RANKED_MAX = 500
"""How many orders that match a text are ranked, and how far they are counted."""
RELEVANCE = "relevance"
_same_order = TEXTS.c.order_id == ORDERS.c.order_id


async def orders_with(text: str, at: Snapshot, wanted: OrderFilter, sort: str, window: Window) -> Page:
    """One page of the orders that a text finds; Invalid if text or cursor cannot be used."""
    meaning = await meaning_of(at, text, wanted.customer_id)
    if sort.removeprefix("-") == RELEVANCE:
        return await _by_relevance(at, wanted, meaning, sort, window)
    shown, cursor = await part_of(at, _list_of(wanted, meaning, sort), window)
    counted = await _counted(at, wanted, meaning, window)
    explained = await _explained(at, meaning, shown, await _scores(at, meaning, shown))
    return Page(explained, cursor, counted, meaning.instead)


async def every_order_with(text: str, at: Snapshot, wanted: OrderFilter, sort: str) -> Select[Any]:
    """All the orders that a text finds, sorted."""
    return _list_of(wanted, await meaning_of(at, text, wanted.customer_id), sort).sorted()


async def _by_relevance(at: Snapshot, wanted: OrderFilter, meaning: Meaning, sort: str, window: Window) -> Page:
    newest = _newest(wanted, meaning, RANKED_MAX)
    score, found = meaning.score(newest.c.document).label("relevance_score"), func.count().over().label("found")
    ranks = select(newest.c.order_id, newest.c.created_at, score, found).subquery()
    columns = {name: ranks.c[name] for name in ("relevance_score", "created_at", "order_id")}
    sorting = Sorting(columns, sort.startswith("-"), digest_of(wanted, sort))
    shown, cursor = await part_of(at, Listed(select(ranks), select(ranks.c.order_id), sorting), window)
    rows = await _rows(at, [row["order_id"] for row in shown])
    scores = {row["order_id"]: row["relevance_score"] for row in shown}
    if shown and window.counts and window.count == "bounded":  # they have been counted where they were ranked
        counted = Counted(shown[0]["found"], exact=shown[0]["found"] < RANKED_MAX)
    else:
        counted = await _counted(at, wanted, meaning, window)
    return Page(await _explained(at, meaning, rows, scores), cursor, counted, meaning.instead)


def _list_of(wanted: OrderFilter, meaning: Meaning, sort: str) -> Listed:
    matching = select(ORDERS).join(TEXTS, _same_order).where(meaning.matches(), *conditions(wanted))
    return Listed(matching, matching.with_only_columns(ORDERS.c.order_id), sorting_of(wanted, sort))


def _newest(wanted: OrderFilter, meaning: Meaning, orders_max: int) -> Subquery:
    """The newest orders that match: by walking along the time if common, else looked up by term and sorted."""
    if asked := conditions(wanted):
        found = select(ORDERS.c.created_at, ORDERS.c.order_id, TEXTS.c.document).join(TEXTS, _same_order)
        found = found.where(meaning.matches(), *asked)
    else:
        found = select(TEXTS.c.created_at, TEXTS.c.order_id, TEXTS.c.document).where(meaning.matches())
        if not meaning.common:  # not to be merged with what sorts: the planner might walk a million
            looked_up = found.offset(0).subquery().c
            found = select(looked_up.created_at, looked_up.order_id, looked_up.document)
    created_at, order_id, _ = found.selected_columns
    return found.order_by(created_at.desc(), order_id.desc()).limit(orders_max).subquery()


async def _counted(at: Snapshot, wanted: OrderFilter, meaning: Meaning, window: Window) -> Counted | None:
    if not window.counts:
        return None
    if window.count == "exact":
        return await count_of(at, _list_of(wanted, meaning, NEWEST_FIRST).ids, None)
    return await count_of(at, select(_newest(wanted, meaning, RANKED_MAX + 1).c.order_id), RANKED_MAX)


async def _scores(at: Snapshot, meaning: Meaning, rows: Sequence[Row]) -> Mapping[str, Any]:
    if not rows:
        return {}
    these = TEXTS.c.order_id.in_([row["order_id"] for row in rows])
    scored = await at.rows(select(TEXTS.c.order_id, meaning.score(TEXTS.c.document).label("score")).where(these))
    return {row["order_id"]: row["score"] for row in scored}


async def _rows(at: Snapshot, order_ids: Sequence[str]) -> Sequence[Row]:
    if not order_ids:
        return []
    found = await at.rows(select(ORDERS).where(ORDERS.c.order_id.in_(order_ids)))
    by_id = {row["order_id"]: row for row in found}
    return [by_id[order_id] for order_id in order_ids if order_id in by_id]


async def _explained(
    at: Snapshot, meaning: Meaning, rows: Sequence[Row], scores: Mapping[str, Any]
) -> Sequence[dict[str, Any]]:
    """The orders, with how well each matches and where."""
    goods: dict[str, list[str]] = {}
    if rows:
        names = func.array_agg(aggregate_order_by(LINES.c.product_name, LINES.c.line)).label("names")
        of_these = LINES.c.order_id.in_([row["order_id"] for row in rows])
        lines = await at.rows(select(LINES.c.order_id, names).where(of_these).group_by(LINES.c.order_id))
        goods = {line["order_id"]: line["names"] for line in lines}
    return [
        {
            **order(row),
            "relevance_score": float(scores[row["order_id"]]),
            "highlights": highlights(
                meaning.terms,
                row["customer_name"],
                dict.fromkeys(goods.get(row["order_id"], ())),
                row["city"],
                row["number"],
            ),
        }
        for row in rows
    ]
