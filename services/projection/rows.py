"""Rows of one version of a view, by key, within a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from asyncpg import Connection, Record

__all__ = ["Rows", "Table"]

R = TypeVar("R")


@dataclass(frozen=True)
class Table(Generic[R]):
    """A table whose rows are the dataclass `row`; `types` are its columns' in Postgres, `key` the primary key's."""

    name: str
    row: type[R]
    types: str
    key: tuple[str, ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns, which are the fields of `row`."""
        return tuple(field.name for field in fields(self.row))  # pyright: ignore[reportArgumentType]

    @cached_property
    def _arrays(self) -> str:
        return ", ".join(f"${n}::{type_}[]" for n, type_ in enumerate(self.types.split(), 1))

    def find(self, schema: str) -> str:
        """Selects rows by the first column of the key."""
        return f"SELECT {', '.join(self.columns)} FROM {schema}.{self.name} WHERE {self.key[0]} = ANY($1::text[])"  # noqa: S608

    def add(self, schema: str) -> str:
        """Inserts rows."""
        return f"INSERT INTO {schema}.{self.name} ({', '.join(self.columns)}) SELECT * FROM unnest({self._arrays})"  # noqa: S608

    def put(self, schema: str) -> str:
        """Inserts or replaces rows."""
        sets = ", ".join(f"{name} = excluded.{name}" for name in self.columns if name not in self.key)
        return f"{self.add(schema)} ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {sets}"

    def increase(self, schema: str) -> str:
        """Inserts rows, or adds their numbers to those that are there."""
        sums = ", ".join(
            f"{name} = {self.name}.{name} + excluded.{name}" for name in self.columns if name not in self.key
        )
        return f"{self.add(schema)} ON CONFLICT ({', '.join(self.key)}) DO UPDATE SET {sums}"

    def remove(self, schema: str) -> str:
        """Deletes rows by the first column of the key."""
        return f"DELETE FROM {schema}.{self.name} WHERE {self.key[0]} = ANY($1::text[])"  # noqa: S608

    def values(self, rows: Sequence[R]) -> list[list[Any]]:
        """The rows by column, as the statements take them."""
        return [list(map(attrgetter(name), rows)) for name in self.columns]

    def records(self, rows: Iterable[R]) -> Iterator[tuple[Any, ...]]:
        """The rows as COPY takes them; a table has more than one column."""
        return map(attrgetter(*self.columns), rows)


class Rows:
    """The tables of one version, in the schema `schema`."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema

    async def find(self, table: Table[R], keys: Iterable[str]) -> dict[str, R]:
        """The rows with these keys, by key; for tables whose key is one column."""
        wanted = list(keys)
        if not wanted:
            return {}
        found = await self._connection.fetch(table.find(self._schema), wanted)
        return {row[table.key[0]]: table.row(*row) for row in found}

    async def put(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert or replace."""
        if rows:
            await self._connection.execute(table.put(self._schema), *table.values(rows))

    async def add(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert."""
        if rows:
            await self._connection.copy_records_to_table(
                table.name, schema_name=self._schema, columns=table.columns, records=table.records(rows)
            )

    async def increase(self, table: Table[R], rows: Sequence[R]) -> None:
        """Insert, or add to what is there: all columns beside the key are numbers."""
        if rows:
            await self._connection.execute(table.increase(self._schema), *table.values(rows))

    async def remove(self, table: Table[R], keys: Sequence[str]) -> None:
        """Delete by the first column of the key."""
        if keys:
            await self._connection.execute(table.remove(self._schema), keys)

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Record]:
        """What a statement returns in which `{schema}` stands for the version's schema."""
        return await self._connection.fetch(sql.format(schema=self._schema), *arguments)

    async def execute(self, sql: str, *arguments: object) -> None:
        """Run a statement in which `{schema}` stands for the version's schema."""
        await self._connection.execute(sql.format(schema=self._schema), *arguments)
