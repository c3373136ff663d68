"""Pages of a list: by number near the start, by cursor at any depth.

Every sort ends in a unique column, so that each row appears on exactly one page. A cursor holds the sort values of the
last row of a page and a digest of filters and sort. It grants no access: the next page applies the caller's own reach.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, DateTime, Integer, Numeric, Select, func, literal, select, tuple_
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlalchemy.types import TypeEngine

from services.kit.rest.params import wrong
from services.query.snapshots import Row, Snapshot

__all__ = [
    "COUNTED_MAX", "CountMode", "ListQuery", "Page", "PageRequest", "SortKey", "Sorting", "Total", "counted_page",
    "digest_of", "page_of", "total_of",
]  # fmt: skip

COUNTED_MAX = 10_000
"""Rows that a total counts to unless the client asks for an exact one, and the last row that a page number reaches."""
VALUE_CHARS_MAX = 200
DIGEST_CHARS = 16
DECIMAL_DIGITS_MAX = 24

SortKey = tuple[Any, ...]
CountMode = Literal["bounded", "exact", "none"]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The page that a client asks for: number `page`, or the one after `cursor`."""

    page: int = 1
    page_size: int = 20
    cursor: str | None = None
    count: CountMode = "bounded"

    @property
    def wants_total(self) -> bool:
        """Whether the answer needs a total; pages by cursor have none."""
        return self.count != "none" and self.cursor is None


@dataclass(frozen=True, slots=True)
class Total:
    """The number of rows of a list; a lower bound unless `exact`."""

    rows: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Sorting:
    """A sort without ties: columns by name, one direction for all, and the digest of filters and sort."""

    columns: Mapping[str, ColumnElement[Any]]
    descending: bool
    digest: str

    def order_by(self) -> Sequence[ColumnElement[Any]]:
        """The columns for ORDER BY."""
        return [each.desc() if self.descending else each.asc() for each in self.columns.values()]

    def after(self, key: SortKey) -> ColumnElement[bool]:
        """The condition for rows that follow the row with this key."""
        row = tuple_(*self.columns.values())
        values = zip(key, self.columns.values(), strict=True)
        last = tuple_(*(literal(value, column.type) for value, column in values))
        return row < last if self.descending else row > last

    def cursor(self, row: Row) -> str:
        """The cursor of the page that follows a row."""
        key = ["" if row[name] is None else _text_of(row[name]) for name in self.columns]
        text = json.dumps([self.digest, *key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def key(self, cursor: str) -> SortKey:
        """The sort values in a cursor; Invalid if zerocart did not issue it for these filters and this sort."""
        try:
            digest, *values = _strings(cursor)
            key = tuple(_value(value, column.type) for value, column in zip(values, self.columns.values(), strict=True))
        except (ValueError, InvalidOperation) as error:
            raise wrong("cursor", "the cursor is malformed: send next_cursor of the page before unchanged") from error
        if digest != self.digest:
            detail = "The cursor belongs to other filters, another sort or another caller. Start again without it."
            raise wrong("cursor", detail)
        return key


@dataclass(frozen=True, slots=True)
class ListQuery:
    """The unsorted rows of a list and their sorting; `ids` selects the same rows and is cheaper to count."""

    rows: Select[Any]
    ids: Select[Any]
    sorting: Sorting

    def sorted(self) -> Select[Any]:
        """All rows in order."""
        return self.rows.order_by(*self.sorting.order_by())


@dataclass(frozen=True, slots=True)
class Page:
    """One page; `cursor` is None on the last one, `total` if it was not counted.

    `instead` maps each word of a search that no order has to the words that were looked for in its place.
    """

    rows: Sequence[Row]
    cursor: str | None
    total: Total | None = None
    instead: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict[str, Sequence[str]]())


async def page_of(at: Snapshot, found: ListQuery, request: PageRequest) -> tuple[Sequence[Row], str | None]:
    """Return the rows of a page and the cursor of the next page, or None; Invalid if the cursor cannot be used."""
    query = found.sorted().limit(request.page_size + 1)
    if request.cursor is not None:
        query = query.where(found.sorting.after(found.sorting.key(request.cursor)))
    rows = await at.rows(query.offset((request.page - 1) * request.page_size))
    shown = rows[: request.page_size]
    return shown, found.sorting.cursor(shown[-1]) if len(rows) > len(shown) else None


async def counted_page(
    at: Snapshot,
    found: ListQuery,
    request: PageRequest,
    shown: Callable[[Row], Mapping[str, Any]],
    bound: int | None = None,
) -> Page:
    """A page, each row as `shown` makes it, with the total; Invalid if the cursor cannot be used.

    The total is counted to `bound`, or else to COUNTED_MAX, unless the client asks for an exact one.
    """
    rows, cursor = await page_of(at, found, request)
    bounded = None if request.count == "exact" else bound or COUNTED_MAX
    total = await total_of(at, found.ids, bounded) if request.wants_total else None
    return Page([*map(shown, rows)], cursor, total)


def digest_of(filters: object, sort: str) -> str:
    """A digest that differs if filters or sort differ; `filters` is a dataclass."""
    return hashlib.sha256(f"{filters!r} {sort}".encode()).hexdigest()[:DIGEST_CHARS]


async def total_of(at: Snapshot, rows: GenerativeSelect, bound: int | None) -> Total:
    """The number of rows of a query, counted to `bound`."""
    some = rows.order_by(None).limit(None if bound is None else bound + 1).subquery()
    found = await at.rows(select(func.count().label("total")).select_from(some))
    total = int(found[0]["total"]) if found else 0
    return Total(total, exact=True) if bound is None or total <= bound else Total(bound, exact=False)


def _text_of(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _strings(cursor: str) -> list[str]:
    """The strings in a cursor; ValueError if it holds anything else."""
    try:
        found: object = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, RecursionError) as error:
        raise ValueError("not base64") from error
    if not isinstance(found, list):
        raise ValueError("not a list")
    values = cast("list[object]", found)
    strings = [each for each in values if isinstance(each, str) and len(each) <= VALUE_CHARS_MAX and _storable(each)]
    if len(strings) != len(values) or not strings:
        raise ValueError("not strings")
    return strings


def _storable(text: str) -> bool:
    """Whether Postgres accepts the text."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _value(text: str, type_: TypeEngine[Any]) -> Any:
    if isinstance(type_, DateTime):
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None or instant.utcoffset():
            raise ValueError("not in UTC")
        return instant
    if isinstance(type_, Integer):
        return _integer(text)
    return _decimal(text) if isinstance(type_, Numeric) else text


def _integer(text: str) -> int:
    if abs(number := int(text)) >= 2**31:
        raise ValueError("larger than any column holds")
    return number


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    digits = max(len(number.as_tuple().digits), abs(number.adjusted())) if number.is_finite() else None
    if digits is None or digits > DECIMAL_DIGITS_MAX:
        raise ValueError("more digits than any column holds")
    return number
