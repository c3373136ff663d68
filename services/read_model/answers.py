"""Rows of the read model as answers over REST, and their columns as fields of typed answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from services.kit.domain.currencies import shown_money
from services.kit.rest import answers
from services.read_model.table import Column, Table

__all__ = ["columns_of", "shown"]

MONEY_TYPE = "numeric(18, 6)"
JSON_TYPE = "jsonb"
Body = TypeVar("Body", bound=type)


def shown(table: Table[Any], row: Mapping[str, Any], currency: str = "") -> dict[str, Any]:
    """A row as an answer shows it; `currency` is that of its amounts if the row has no such column.

    Members of the row that are no columns of the table are left out.
    """
    plain, json_columns, amounts = _answered(table)
    currency = currency or row.get("currency", "")
    return {
        **{name: row[column] for name, column in plain},
        **{name: _parsed(row[column]) for name, column in json_columns},
        **{name: None if row[column] is None else shown_money(row[column], currency) for name, column in amounts},
    }


def columns_of(table: Table[Any]) -> Callable[[Body], Body]:
    """A decorator that adds the columns of a table, as `shown` makes them, to the fields of a TypedDict."""

    def add(body: Any) -> Any:
        columns = {column.answered: _field(column) for column in table.columns if column.answered}
        body.__annotations__ = {**columns, **body.__annotations__}
        body.__required_keys__ |= frozenset(columns)
        return body

    return add


@lru_cache
def _answered(table: Table[Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]], list[tuple[str, str]]]:
    """Plain columns, JSON columns and amounts, each with its name in answers."""
    named = [(column.answered, column) for column in table.columns if column.answered]
    plain = [(name, column.name) for name, column in named if column.type not in (MONEY_TYPE, JSON_TYPE)]
    json_columns = [(name, column.name) for name, column in named if column.type == JSON_TYPE]
    return plain, json_columns, [(name, column.name) for name, column in named if column.type == MONEY_TYPE]


def _parsed(value: object) -> object:
    """The value of a JSON column: query gets it parsed, the projection as text."""
    return json.loads(value) if isinstance(value, str) else value


def _field(column: Column) -> Any:
    """The type of a column in answers, with its description."""
    about = column.about
    kind: Any = Literal[about.one_of] if about.one_of else _type(column)
    examples = [about.example] if about.example else None
    # while a version that an earlier release built serves, query shows a newer column as null
    may_be_null = column.nullable or about.since > 1
    return Annotated[
        kind | None if may_be_null else kind, Field(description=about.description or None, examples=examples)
    ]


def _type(column: Column) -> Any:
    match column.base_type:
        case "integer" | "bigint":
            return Annotated[int, Field(ge=column.minimum)]
        case "boolean":
            return bool
        case "numeric":
            return answers.Money
        case "jsonb":
            return dict[str, str] if column.shape == "map" else list[str]
        case "timestamptz":
            return Annotated[datetime, Field(examples=["2026-11-23T12:00:00Z"])]
        case _:
            return str
