"""The statements that create the tables and indexes of a view."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from services.read_model.table import Column, Table

__all__ = ["ddl"]


def ddl(tables: Sequence[Table[Any]]) -> str:
    """The statements for these tables, in the schema that comes first in the search path."""
    return "\n".join(statement for table in tables for statement in _statements(table))


def _statements(table: Table[Any]) -> Iterator[str]:
    columns = ", ".join(map(_column, table.columns))
    storage = f" WITH ({table.storage})" if table.storage else ""
    yield f"CREATE TABLE {table.name} ({columns}, PRIMARY KEY ({', '.join(table.key)})){storage};"
    for name, definition in table.indexes.items():
        yield f"CREATE INDEX {name} ON {table.name} {definition};"


def _column(column: Column) -> str:
    return f"{column.name} {column.type}{'' if column.nullable else ' NOT NULL'}"
