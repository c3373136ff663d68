"""Rows of the read model as answers over REST show them, and the JSON Schema of that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from services.kit.rest.params import shown_money
from services.kit.rest.schemas_by_hand import INSTANT, MONEY, TEXT, Schema, one_of, optional
from services.read_model.table import Column, Table

__all__ = ["members", "shown"]

MONEY_TYPE = "numeric(18, 6)"


def shown(table: Table[Any], row: Mapping[str, Any], currency: str = "") -> dict[str, Any]:
    """A row as an answer shows it; `currency` is that of its amounts if the row has no such column.

    Members of the row that are no columns of the table are left out.
    """
    plain, amounts = _answered(table)
    currency = currency or row.get("currency", "")
    return {
        **{name: row[column] for name, column in plain},
        **{name: shown_money(row[column], currency) for name, column in amounts},
    }


def members(table: Table[Any]) -> dict[str, Schema]:
    """The JSON Schema of each member of what `shown` makes."""
    return {column.answered: _schema(column) for column in table.columns if column.answered}


@lru_cache
def _answered(table: Table[Any]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Plain columns and amounts, each with its name in answers."""
    named = [(column.answered, column) for column in table.columns if column.answered]
    plain = [(name, column.name) for name, column in named if column.type != MONEY_TYPE]
    return plain, [(name, column.name) for name, column in named if column.type == MONEY_TYPE]


def _schema(column: Column) -> Schema:
    about = column.about
    schema = one_of(*about.one_of) if about.one_of else _type(column)
    if about.example:
        schema = {**schema, "examples": [about.example]}
    if column.nullable:
        schema = optional(schema)
    return {**schema, "description": about.description} if about.description else schema


def _type(column: Column) -> Schema:
    match column.base_type:
        case "integer" | "bigint":
            return {"type": "integer", "minimum": column.minimum}
        case "numeric":
            return MONEY
        case "timestamptz":
            return INSTANT
        case _:
            return TEXT
