"""Orders that a text finds, and why they were found.

By relevance only so many orders are ranked, the newest of those that match: a word that half of all orders have would
cost a look at half of all orders, and says nothing about which of them is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Subquery, Text, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from services.query.filters import OrderFilter, conditions
from services.query.highlights import highlights
from services.query.lists import NEWEST_FIRST, sorting_of
from services.query.paging import Counted, Listed, Page, Sorting, Window, count_of, digest_of, part_of
from services.query.search_terms import Meaning, meaning_of
from services.query.shown import order
from services.query.snapshots import Row, Snapshot
from services.query.tables import LINES, ORDERS, TEXTS

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
    return Page(await _explained(at, meaning, shown), cursor, counted, meaning.instead)


async def every_order_with(text: str, at: Snapshot, wanted: OrderFilter, sort: str) -> Select[Any]:
    """All the orders that a text finds, sorted."""
    return _list_of(wanted, await meaning_of(at, text, wanted.customer_id), sort).sorted()


async def _by_relevance(at: Snapshot, wanted: OrderFilter, meaning: Meaning, sort: str, window: Window) -> Page:
    shown, cursor = await part_of(at, _ranked(wanted, meaning, sort), window)
    if shown and window.counts and window.count == "bounded":  # they have been counted where they were ranked
        counted = Counted(shown[0]["found"], exact=shown[0]["found"] < RANKED_MAX)
    else:
        counted = await _counted(at, wanted, meaning, window)
    return Page(await _explained(at, meaning, shown), cursor, counted, meaning.instead)


def _ranked(wanted: OrderFilter, meaning: Meaning, sort: str) -> Listed:
    newest = _newest(wanted, meaning, RANKED_MAX)
    score, found = meaning.score(TEXTS.c.document).label("relevance_score"), func.count().over().label("found")
    ranked = select(newest.c.order_id, newest.c.created_at, score, found)
    ranks = ranked.join(TEXTS, TEXTS.c.order_id == newest.c.order_id).subquery()
    columns = {name: ranks.c[name] for name in ("relevance_score", "created_at", "order_id")}
    sorting = Sorting(columns, sort.startswith("-"), digest_of(wanted, sort))
    return Listed(select(ranks), select(ranks.c.order_id), sorting)


def _list_of(wanted: OrderFilter, meaning: Meaning, sort: str) -> Listed:
    matching = select(ORDERS).join(TEXTS, _same_order).where(meaning.matches(), *conditions(wanted))
    return Listed(matching, matching.with_only_columns(ORDERS.c.order_id), sorting_of(wanted, sort))


def _newest(wanted: OrderFilter, meaning: Meaning, orders_max: int) -> Subquery:
    """The newest orders that match: by walking along the time if common, else looked up by term and sorted.

    Without their documents: to move those while thousands of rows are sorted costs as much as finding them.
    """
    if asked := conditions(wanted):
        found = select(ORDERS.c.created_at, ORDERS.c.order_id).join(TEXTS, _same_order)
        found = found.where(meaning.matches(), *asked)
    else:
        found = select(TEXTS.c.created_at, TEXTS.c.order_id).where(meaning.matches())
        if not meaning.common:  # not to be merged with what sorts: the planner might walk a million
            rows = found.offset(0).subquery()
            found = select(rows.c.created_at, rows.c.order_id)
    created_at, order_id = found.selected_columns
    return found.order_by(created_at.desc(), order_id.desc()).limit(orders_max).subquery()


async def _counted(at: Snapshot, wanted: OrderFilter, meaning: Meaning, window: Window) -> Counted | None:
    if not window.counts:
        return None
    if window.count == "exact":
        return await count_of(at, _list_of(wanted, meaning, NEWEST_FIRST).ids, None)
    return await count_of(at, select(_newest(wanted, meaning, RANKED_MAX + 1).c.order_id), RANKED_MAX)


async def _explained(at: Snapshot, meaning: Meaning, found: Sequence[Row]) -> Sequence[dict[str, Any]]:
    """The orders, as they are sorted, with how well each matches and where."""
    if not found:
        return []
    goods = select(func.array_agg(aggregate_order_by(LINES.c.product_name, LINES.c.line)))
    goods = goods.where(LINES.c.order_id == ORDERS.c.order_id).scalar_subquery().label("goods")
    ids = [row["order_id"] for row in found]
    asked = select(ORDERS, meaning.score(TEXTS.c.document).label("score"), goods).join(TEXTS, _same_order)
    rows = await at.rows(asked.where(ORDERS.c.order_id == any_(literal(ids, ARRAY(Text)))))
    explained = {row["order_id"]: _with_highlights(row, meaning) for row in rows}
    return [explained[order_id] for order_id in ids]


def _with_highlights(row: Row, meaning: Meaning) -> dict[str, Any]:
    shown = {**row}
    score, goods = shown.pop("score"), shown.pop("goods")
    where = highlights(meaning.terms, row["customer_name"], goods or (), row["city"], row["number"])
    return {**order(shown), "relevance_score": float(score), "highlights": where}
