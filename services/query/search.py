"""Text search of orders, by relevance or in any sort of a list, with highlights.

By relevance only the newest RANKED_MAX matches are ranked: for a word that half of all orders have, ranking all matches
would read half of all documents, and the word does not tell which of these orders is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, Subquery, Text, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, aggregate_order_by

from services.query.highlights import highlights
from services.query.lists import NEWEST_FIRST, OrderFilter, conditions, sorting_of
from services.query.paging import ListQuery, Page, PageRequest, Sorting, Total, digest_of, page_of, total_of
from services.query.search_terms import SearchTerms, search_terms
from services.query.snapshots import Row, Snapshot
from services.query.tables import LINES, ORDERS, TEXTS
from services.read_model import orders
from services.read_model.answers import shown

__all__ = ["RANKED_MAX", "RELEVANCE", "every_match", "page_of_matches"]

RANKED_MAX = 500
"""How many matches are ranked, and how far matches are counted."""
RELEVANCE = "relevance"
_same_order = TEXTS.c.order_id == ORDERS.c.order_id


async def page_of_matches(text: str, at: Snapshot, wanted: OrderFilter, sort: str, request: PageRequest) -> Page:
    """One page of the orders that match a text; Invalid if the cursor cannot be used."""
    terms = await search_terms(at, text, wanted.customer_id)
    if sort.removeprefix("-") == RELEVANCE:
        return await _by_relevance(at, wanted, terms, sort, request)
    rows, cursor = await page_of(at, _matches(wanted, terms, sort), request)
    total = await _total(at, wanted, terms, request)
    return Page(await _with_highlights(at, terms, rows), cursor, total, terms.instead)


async def every_match(text: str, at: Snapshot, wanted: OrderFilter, sort: str) -> Select[Any]:
    """All orders that match a text, sorted."""
    return _matches(wanted, await search_terms(at, text, wanted.customer_id), sort).sorted()


async def _by_relevance(at: Snapshot, wanted: OrderFilter, terms: SearchTerms, sort: str, request: PageRequest) -> Page:
    rows, cursor = await page_of(at, _ranked(wanted, terms, sort), request)
    if rows and request.wants_total and request.count == "bounded":  # ranking has counted them
        total = Total(rows[0]["found"], exact=rows[0]["found"] < RANKED_MAX)
    else:
        total = await _total(at, wanted, terms, request)
    return Page(await _with_highlights(at, terms, rows), cursor, total, terms.instead)


def _ranked(wanted: OrderFilter, terms: SearchTerms, sort: str) -> ListQuery:
    newest = _newest(wanted, terms, RANKED_MAX)
    score, found = terms.score(TEXTS.c.document).label("relevance_score"), func.count().over().label("found")
    scored = select(newest.c.order_id, newest.c.created_at, score, found)
    ranks = scored.join(TEXTS, TEXTS.c.order_id == newest.c.order_id).subquery()
    columns = {name: ranks.c[name] for name in ("relevance_score", "created_at", "order_id")}
    sorting = Sorting(columns, sort.startswith("-"), digest_of(wanted, sort))
    return ListQuery(select(ranks), select(ranks.c.order_id), sorting)


def _matches(wanted: OrderFilter, terms: SearchTerms, sort: str) -> ListQuery:
    matching = select(ORDERS).join(TEXTS, _same_order).where(terms.match(), *conditions(wanted))
    return ListQuery(matching, matching.with_only_columns(ORDERS.c.order_id), sorting_of(wanted, sort))


def _newest(wanted: OrderFilter, terms: SearchTerms, orders_max: int) -> Subquery:
    """Ids and times of the newest matches; their documents are not selected, because sorting would copy them."""
    if more := conditions(wanted):
        found = select(ORDERS.c.created_at, ORDERS.c.order_id).join(TEXTS, _same_order).where(terms.match(), *more)
    else:
        found = select(TEXTS.c.created_at, TEXTS.c.order_id).where(terms.match())
    created_at, order_id = found.selected_columns
    return found.order_by(created_at.desc(), order_id.desc()).limit(orders_max).subquery()


async def _total(at: Snapshot, wanted: OrderFilter, terms: SearchTerms, request: PageRequest) -> Total | None:
    if not request.wants_total:
        return None
    if request.count == "exact":
        return await total_of(at, _matches(wanted, terms, NEWEST_FIRST).ids, None)
    return await total_of(at, select(_newest(wanted, terms, RANKED_MAX + 1).c.order_id), RANKED_MAX)


async def _with_highlights(at: Snapshot, terms: SearchTerms, rows: Sequence[Row]) -> Sequence[dict[str, Any]]:
    """The orders of these rows in the same order, with score and highlights."""
    if not rows:
        return []
    goods = select(func.array_agg(aggregate_order_by(LINES.c.product_name, LINES.c.line)))
    goods = goods.where(LINES.c.order_id == ORDERS.c.order_id).scalar_subquery().label("goods")
    ids = [row["order_id"] for row in rows]
    query = select(ORDERS, terms.score(TEXTS.c.document).label("score"), goods).join(TEXTS, _same_order)
    found = await at.rows(query.where(ORDERS.c.order_id == any_(literal(ids, ARRAY(Text)))))
    by_id = {row["order_id"]: _highlighted(row, terms) for row in found}
    return [by_id[order_id] for order_id in ids]


def _highlighted(row: Row, terms: SearchTerms) -> dict[str, Any]:
    matches = highlights(terms.every_term, row["customer_name"], row["goods"] or (), row["city"], row["number"])
    return {**shown(orders.ORDERS, row), "relevance_score": float(row["score"]), "highlights": matches}
