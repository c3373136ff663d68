"""Reads and writes rows of one version of a view, by key, within a transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

from services.kit.domain.message import ERASED
from services.read_model.table import Table

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Rows"]

R = TypeVar("R")


class Rows:
    """The tables of one version, in the schema `schema`."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def find(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        """Return the rows with these keys, by key; the table's key must be one column."""
        wanted = list(keys)
        if not wanted:
            return {}
        (key,) = table.key
        sql = f"SELECT {', '.join(table.names)} FROM {self._place(table)} WHERE {key} = ANY($1::text[])"  # noqa: S608
        return {row[key]: table.row(*row) for row in await self._connection.fetch(sql, wanted)}

    async def keys(self, table: Table[R], condition: str, people: Sequence[str]) -> list[str]:
        """The keys, oldest first, of the rows for which `condition` holds of $1, these people."""
        (key,) = table.key
        sql = f"SELECT {key} FROM {self._place(table)} WHERE {condition} ORDER BY created_at, {key}"  # noqa: S608
        return [row[key] for row in await self._connection.fetch(sql, people)]

    async def put(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert rows, or replace those that have the same key."""
        await self._upsert(table, rows, lambda name: f"{name} = excluded.{name}")

    async def increase(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert rows, or add their numbers to the row with the same key: all columns beside the key are numbers."""
        await self._upsert(table, rows, lambda name: f"{name} = {table.name}.{name} + excluded.{name}")

    async def add(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert rows whose keys are new."""
        if rows:
            records = map(attrgetter(*table.names), rows)
            await self._connection.copy_records_to_table(
                table.name, schema_name=self._schema, columns=table.names, records=records
            )

    async def remove(self, table: Table[R], keys: Sequence[str]) -> None:
        """Delete rows by the first column of the key."""
        if keys:
            sql = f"DELETE FROM {self._place(table)} WHERE {table.key[0]} = ANY($1::text[])"  # noqa: S608
            await self._connection.execute(sql, keys)

    async def erase(self, table: Table[R], condition: str, people: Sequence[str]) -> list[str]:
        """Empty the personal columns of the rows for which `condition` holds of $1, these people; the rows' keys.

        A column that may not be NULL gets the text ERASED.
        """
        (key,) = table.key
        personal = [column for column in table.columns if column.about.personal]
        sets = ", ".join(f"{each.name} = " + ("NULL" if each.nullable else f"'{ERASED}'") for each in personal)
        sql = f"UPDATE {self._place(table)} SET {sets} WHERE {condition} RETURNING {key}"  # noqa: S608
        return [row[0] for row in await self._connection.fetch(sql, people)]

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Record]:
        """Return the rows of a statement in which `{schema}` stands for the version's schema."""
        return await self._connection.fetch(sql.format(schema=self._schema), *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement in which `{schema}` stands for the version's schema."""
        await self._connection.execute(sql.format(schema=self._schema), *arguments)

    async def _upsert(self, table: Table[R], rows: Sequence[R], change: Callable[[str], str]) -> None:
        if not rows:
            return
        arrays = ", ".join(f"${n}::{column.base_type}[]" for n, column in enumerate(table.columns, 1))
        changes = ", ".join(change(name) for name in table.names if name not in table.key)
        sql = (
            f"INSERT INTO {self._place(table)} ({', '.join(table.names)}) SELECT * FROM unnest({arrays}) "  # noqa: S608
            f"ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"
        )
        values: list[list[Any]] = [list(map(attrgetter(name), rows)) for name in table.names]
        await self._connection.execute(sql, *values)

    def _place(self, table: Table[R]) -> str:
        return f"{self._schema}.{table.name}"
