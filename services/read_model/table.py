"""How a table of the read model is declared: a dataclass for its rows, whose annotations describe the columns.

The projection derives the DDL and the writing of rows from a declaration, query derives SQLAlchemy tables, and both
derive the shape of their answers. This module imports neither asyncpg nor SQLAlchemy: each side needs only one of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from types import NoneType
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args, get_type_hints

__all__ = [
    "About", "Amount", "BigCount", "Column", "Count", "Day", "Document", "Flag", "Id", "Instant", "Money", "Number",
    "Table", "Text", "TextList", "TextMap", "Texts",
]  # fmt: skip

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Stored:
    """The Postgres type of a column; `minimum` is the least value of a number, `shape` is that of JSON."""

    type: str
    minimum: int | None = None
    shape: Literal["", "map", "list"] = ""


Id = Annotated[str, Stored('text COLLATE "C"')]
"""A text that sorts byte by byte: an id, a status, a code."""
Text = Annotated[str, Stored("text")]
Texts = Annotated[tuple[str, ...], Stored("text[]")]
TextMap = Annotated[str, Stored("jsonb", shape="map")]
"""A JSON object of texts; rows hold its text."""
TextList = Annotated[str, Stored("jsonb", shape="list")]
"""A JSON array of texts; rows hold its text."""
Flag = Annotated[bool, Stored("boolean")]
Document = Annotated[str, Stored("tsvector")]
Count = Annotated[int, Stored("integer", minimum=0)]
Number = Annotated[int, Stored("integer", minimum=1)]
BigCount = Annotated[int, Stored("bigint", minimum=0)]
Money = Annotated[Decimal, Stored("numeric(18, 6)")]
"""An amount in the order's currency."""
Amount = Annotated[Decimal, Stored("numeric")]
"""A sum of amounts, or another exact number."""
Day = Annotated[date, Stored("date")]
Instant = Annotated[datetime, Stored("timestamptz")]


@dataclass(frozen=True, slots=True)
class About:
    """What an annotation adds to the type of a column.

    `personal` columns lose their values when the person is erased. `since` is the revision of the view that brought the
    column. `answered` is the column's name in answers if it differs, and empty if answers leave the column out.
    `description`, `example` and `one_of` describe the column in the OpenAPI document.
    """

    description: str = ""
    example: str = ""
    one_of: tuple[str, ...] = ()
    personal: bool = False
    since: int = 1
    answered: str | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A column as its annotation declares it."""

    name: str
    type: str
    nullable: bool
    minimum: int | None
    about: About
    shape: Literal["", "map", "list"] = ""

    @property
    def answered(self) -> str:
        """The name of the column in answers; empty if they leave it out."""
        return self.name if self.about.answered is None else self.about.answered

    @property
    def base_type(self) -> str:
        """The Postgres type without collation, precision and scale."""
        return self.type.partition(" ")[0].partition("(")[0]


@dataclass(frozen=True, eq=False)
class Table(Generic[R]):
    """A table of a view; each row is an instance of the dataclass `row`, whose fields are the columns.

    `indexes` maps the name of an index to its definition, which is what SQL writes after the table's name. `storage` is
    the WITH clause.
    """

    view: str
    name: str
    row: type[R]
    key: tuple[str, ...]
    indexes: Mapping[str, str] = field(default_factory=dict[str, str])
    storage: str = ""

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The columns in the order of the row's fields."""
        return tuple(_columns(self.row))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(column.name for column in self.columns)


def _columns(row: type[Any]) -> Iterator[Column]:
    for name, annotation in get_type_hints(row, include_extras=True).items():
        notes = list(_notes(annotation))
        stored = next(note for note in notes if isinstance(note, Stored))
        about = next((note for note in notes if isinstance(note, About)), About())
        yield Column(name, stored.type, NoneType in notes, stored.minimum, about, stored.shape)


def _notes(annotation: object) -> Iterator[object]:
    """Return what `Annotated` adds to the type, at any depth; NoneType if the type allows None."""
    if annotation is NoneType or isinstance(annotation, Stored | About):
        yield annotation
    for part in get_args(annotation):
        yield from _notes(part)
