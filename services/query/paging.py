"""Pages: by number near the start, by cursor to any depth; ties are always broken, so each row comes exactly once.

A cursor says where the last page ended (the values of the sort's columns) and carries a digest of the question. It is
no secret and gives no access: the next page asks the same question, within the caller's reach, from there on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, cast

from sqlalchemy import ColumnElement, DateTime, Numeric, Select, func, literal, select, tuple_
from sqlalchemy.sql.selectable import GenerativeSelect
from sqlalchemy.types import TypeEngine

from services.kit.rest.params import wrong
from services.query.snapshots import Row, Snapshot

__all__ = [
    "COUNTED_MAX", "Count", "Counted", "Key", "Listed", "Page", "Sorting", "Window", "count_of", "digest_of", "part_of",
]  # fmt: skip

COUNTED_MAX = 10_000
"""How far the rows of a list are counted unless somebody asks for more, and how far a page's number reaches."""
VALUE_CHARS_MAX = 200
DIGEST_CHARS = 16
DECIMAL_DIGITS_MAX = 24

Key = tuple[Any, ...]
Count = Literal["bounded", "exact", "none"]


@dataclass(frozen=True, slots=True)
class Window:
    """Which part of a list: page `page`, or what comes after `cursor`."""

    page: int = 1
    page_size: int = 20
    cursor: str | None = None
    count: Count = "bounded"

    @property
    def counts(self) -> bool:
        """Whether the rows of the list are to be counted."""
        return self.count != "none" and self.cursor is None


@dataclass(frozen=True, slots=True)
class Counted:
    """How many rows there are; at least so many unless `exact`."""

    total: int
    exact: bool


@dataclass(frozen=True, slots=True)
class Sorting:
    """An order of rows without ties: the columns by name, one direction for all; `digest` is that of the question."""

    columns: Mapping[str, ColumnElement[Any]]
    descending: bool
    digest: str

    def order_by(self) -> Sequence[ColumnElement[Any]]:
        """As ORDER BY has it."""
        return [each.desc() if self.descending else each.asc() for each in self.columns.values()]

    def after(self, key: Key) -> ColumnElement[bool]:
        """What comes after a row with this key."""
        ours = tuple_(*self.columns.values())
        values = zip(key, self.columns.values(), strict=True)
        theirs = tuple_(*(literal(value, column.type) for value, column in values))
        return ours < theirs if self.descending else ours > theirs

    def cursor(self, row: Row) -> str:
        """The cursor behind a row."""
        key = ["" if row[name] is None else _written(row[name]) for name in self.columns]
        text = json.dumps([self.digest, *key], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def key(self, cursor: str) -> Key:
        """Where a cursor stands; Invalid if it is none of ours, or another question's."""
        try:
            digest, *values = _strings(cursor)
            key = tuple(_read(value, column.type) for value, column in zip(values, self.columns.values(), strict=True))
        except (ValueError, InvalidOperation) as error:
            raise wrong("cursor", "this is not a cursor that we gave") from error
        if digest != self.digest:
            raise wrong("cursor", "this cursor belongs to another question: other filters, sort or caller")
        return key


@dataclass(frozen=True, slots=True)
class Listed:
    """The rows of a list, unsorted, and how they are sorted; `ids` are as many rows and cheaper to count."""

    rows: Select[Any]
    ids: Select[Any]
    sorting: Sorting

    def sorted(self) -> Select[Any]:
        """All of them in their order."""
        return self.rows.order_by(*self.sorting.order_by())


@dataclass(frozen=True, slots=True)
class Page:
    """Rows of one part of a list; `counted` is None behind a cursor, `cursor` where the list ends."""

    rows: Sequence[Row]
    cursor: str | None
    counted: Counted | None = None
    instead: Mapping[str, Sequence[str]] = field(default_factory=lambda: dict[str, Sequence[str]]())


async def part_of(at: Snapshot, found: Listed, window: Window) -> tuple[Sequence[Row], str | None]:
    """The rows of a part, and the cursor behind them if there are more; Invalid if the cursor cannot be used."""
    query = found.sorted().limit(window.page_size + 1)
    if window.cursor is not None:
        query = query.where(found.sorting.after(found.sorting.key(window.cursor)))
    rows = await at.rows(query.offset((window.page - 1) * window.page_size))
    shown = rows[: window.page_size]
    return shown, found.sorting.cursor(shown[-1]) if len(rows) > len(shown) else None


def digest_of(asked: object, sort: str) -> str:
    """What tells one question from another; `asked` is a record of its filters."""
    return hashlib.sha256(f"{asked!r} {sort}".encode()).hexdigest()[:DIGEST_CHARS]


async def count_of(at: Snapshot, rows: GenerativeSelect, bound: int | None) -> Counted:
    """How many rows a query has, as far as `bound`: what is beyond it is not looked at."""
    some = rows.order_by(None).limit(None if bound is None else bound + 1).subquery()
    found = await at.rows(select(func.count().label("total")).select_from(some))
    total = int(found[0]["total"]) if found else 0
    return Counted(total, exact=True) if bound is None or total <= bound else Counted(bound, exact=False)


def _written(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _strings(cursor: str) -> list[str]:
    """ValueError if it is no list of strings."""
    try:
        found: object = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, RecursionError) as error:
        raise ValueError("not written by us") from error
    if not isinstance(found, list):
        raise ValueError("not a list")
    values = cast("list[object]", found)
    strings = [each for each in values if isinstance(each, str) and len(each) <= VALUE_CHARS_MAX and _storable(each)]
    if len(strings) != len(values) or not strings:
        raise ValueError("not strings")
    return strings


def _storable(text: str) -> bool:
    """Whether Postgres can be asked for it."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _read(text: str, type_: TypeEngine[Any]) -> Any:
    if isinstance(type_, DateTime):
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None or instant.utcoffset():
            raise ValueError("not in UTC")
        return instant
    return _decimal(text) if isinstance(type_, Numeric) else text


def _decimal(text: str) -> Decimal:
    number = Decimal(text)
    digits = max(len(number.as_tuple().digits), abs(number.adjusted())) if number.is_finite() else None
    if digits is None or digits > DECIMAL_DIGITS_MAX:
        raise ValueError("not a number of ours")
    return number
