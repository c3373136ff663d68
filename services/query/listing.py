"""Lists of orders, filtered, sorted and found by text.

By relevance only so many orders are ranked, the newest of those that match: a word that half of all orders have would
cost a look at half of all orders, and says nothing about which of them is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, false, func, select, true

from services.query.filters import OrderFilter, conditions, whose
from services.query.highlights import highlights
from services.query.paging import COUNTED_MAX, Counted, Sorting, Window, count_of, digest_of
from services.query.shown import order
from services.query.snapshots import Row, Snapshot
from services.query.tables import LINES, ORDERS, TEXTS
from services.query.words import Meaning, meaning_of

__all__ = ["RANKED_MAX", "RELEVANCE", "SORTS", "Page", "every_order", "some_orders"]

RANKED_MAX = 1_000
"""How many orders that match a text are ranked, and how far they are counted."""
RELEVANCE = "relevance"
_by_time = {"created_at": ORDERS.c.created_at, "order_id": ORDERS.c.order_id}
SORTS: Mapping[str, Mapping[str, ColumnElement[Any]]] = {
    "created_at": _by_time,
    "updated_at": {"updated_at": ORDERS.c.updated_at, "order_id": ORDERS.c.order_id},
    "total": {"total": ORDERS.c.total, **_by_time},
    "status": {"status": ORDERS.c.status, **_by_time},
    "country": {"country": ORDERS.c.country, **_by_time},
    "currency": {"currency": ORDERS.c.currency, **_by_time},
    "customer_id": {"customer_id": whose, **_by_time},
    "order_id": {"order_id": ORDERS.c.order_id},
}
"""What a list can be sorted by, and how ties are broken; each is an index of the read database."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one part of a list; `counted` is None behind a cursor, `cursor` where the list ends."""

    rows: Sequence[Row]
    cursor: str | None
    counted: Counted | None = None
    instead: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict[str, Sequence[str]]())


async def some_orders(at: Snapshot, wanted: OrderFilter, sort: str, window: Window) -> Page:
    """One page of orders; Invalid if text or cursor cannot be used."""
    meaning = None if wanted.text is None else await meaning_of(at, wanted.text, wanted.customer_id)
    if sort.lstrip("-") == RELEVANCE:
        assert meaning is not None
        return await _by_relevance(at, wanted, meaning, sort, window)
    return await _listed(at, wanted, meaning, sort, window)


async def every_order(at: Snapshot, wanted: OrderFilter, sort: str) -> Select[Any]:
    """All the orders of a list, sorted."""
    meaning = None if wanted.text is None else await meaning_of(at, wanted.text, wanted.customer_id)
    return _matching(wanted, meaning).order_by(*_sorting(wanted, sort).order_by())


async def _listed(at: Snapshot, wanted: OrderFilter, meaning: Meaning | None, sort: str, window: Window) -> Page:
    sorting = _sorting(wanted, sort)
    matching = _matching(wanted, meaning)
    query = matching.order_by(*sorting.order_by()).limit(window.page_size + 1)
    if window.cursor is not None:
        query = query.where(sorting.after(sorting.key(window.cursor)))
    rows = await at.rows(query.offset((window.page - 1) * window.page_size))
    shown = rows[: window.page_size]
    cursor = sorting.cursor(shown[-1]) if len(rows) > len(shown) else None
    counted = await _counted(at, matching, window, COUNTED_MAX if meaning is None else RANKED_MAX)
    if meaning is None:
        return Page([order(row) for row in shown], cursor, counted)
    found = await _explained(at, meaning, shown, await _scores(at, meaning, shown))
    return Page(found, cursor, counted, meaning.instead)


async def _by_relevance(at: Snapshot, wanted: OrderFilter, meaning: Meaning, sort: str, window: Window) -> Page:
    newest = _newest(wanted, meaning)
    ranks = select(newest.c.order_id, meaning.score(newest.c.document).label("relevance_score")).subquery()
    columns = {"relevance_score": ranks.c.relevance_score, "order_id": ranks.c.order_id}
    sorting = Sorting(columns, sort.startswith("-"), digest_of(wanted, sort))
    query = select(ranks).order_by(*sorting.order_by()).limit(window.page_size + 1)
    if window.cursor is not None:
        query = query.where(sorting.after(sorting.key(window.cursor)))
    ranked = await at.rows(query.offset((window.page - 1) * window.page_size).where(_possible(meaning)))
    shown = ranked[: window.page_size]
    cursor = sorting.cursor(shown[-1]) if len(ranked) > len(shown) else None
    rows = await _rows(at, [row["order_id"] for row in shown])
    scores = {row["order_id"]: row["relevance_score"] for row in shown}
    counted = await _counted(at, _matching(wanted, meaning), window, RANKED_MAX)
    return Page(await _explained(at, meaning, rows, scores), cursor, counted, meaning.instead)


def _sorting(wanted: OrderFilter, sort: str) -> Sorting:
    return Sorting(SORTS[sort.lstrip("-")], sort.startswith("-"), digest_of(wanted, sort))


def _matching(wanted: OrderFilter, meaning: Meaning | None) -> Select[Any]:
    query = select(ORDERS).where(*conditions(wanted))
    if meaning is None:
        return query
    return query.where(_possible(meaning), ORDERS.c.order_id.in_(select(TEXTS.c.order_id).where(meaning.matches())))


def _possible(meaning: Meaning) -> ColumnElement[bool]:
    """Nothing is looked at for a word that no order has."""
    return true() if meaning.possible else false()


async def _counted(at: Snapshot, matching: Select[Any], window: Window, bound: int) -> Counted | None:
    if window.count == "none" or window.cursor is not None:
        return None
    one = matching.with_only_columns(ORDERS.c.order_id)
    return await count_of(at, one, None if window.count == "exact" else bound)


def _newest(wanted: OrderFilter, meaning: Meaning) -> Subquery:
    """The newest orders that match, as many as are ranked."""
    found = select(TEXTS.c.order_id, TEXTS.c.document).where(meaning.matches())
    if asked := conditions(wanted):
        found = found.where(TEXTS.c.order_id.in_(select(ORDERS.c.order_id).where(*asked)))
    return found.order_by(TEXTS.c.created_at.desc(), TEXTS.c.order_id.desc()).limit(RANKED_MAX).subquery()


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
        names = func.array_agg(LINES.c.product_name.distinct()).label("names")
        of_these = LINES.c.order_id.in_([row["order_id"] for row in rows])
        lines = await at.rows(select(LINES.c.order_id, names).where(of_these).group_by(LINES.c.order_id))
        goods = {line["order_id"]: line["names"] for line in lines}
    return [
        {
            **order(row),
            "relevance_score": float(scores[row["order_id"]]),
            "highlights": highlights(meaning.terms, row["customer_name"], goods.get(row["order_id"], ()), row["city"]),
        }
        for row in rows
    ]
