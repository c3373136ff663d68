"""Joins files by keys: in a database on disk, read in the order of time, so that any size fits."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tools.importer.instants import Clock
from tools.importer.mapping import Files, Join, Mapping
from tools.importer.records import LineRefusal, OrderRefusal, Reason
from tools.importer.rows import BadFileError, Row, must_have, read_file

__all__ = ["read_joined"]


class Refuse(Protocol):
    """Reports a row that cannot be used."""

    def __call__(self, row: Row, reason: Reason, invoice: str = "", what: str = "line") -> None:
        """Report the row, with its invoice if that is known."""
        ...


LINE = "line\n"
"""The column of a row's line number; a header cannot have this name."""


@contextmanager
def read_joined(folder: Path, mapping: Mapping, files: Files, refuse: Refuse) -> Generator[Iterator[Row]]:
    """The lines with the columns of all files, by time and then order; a column is also known as `file.column`.

    `refuse` gets the rows of joined files that cannot be used.
    """
    if not folder.is_dir():
        raise BadFileError(f"{folder} is not a folder, and the mapping {mapping.name} joins several files.")
    database = sqlite3.connect("")  # a file without a name, deleted by itself
    database.execute("PRAGMA journal_mode = OFF")
    try:
        yield _Joined(folder, mapping, files, database, refuse).rows()
    finally:
        database.close()


class _Joined:
    def __init__(
        self, folder: Path, mapping: Mapping, files: Files, database: sqlite3.Connection, refuse: Refuse
    ) -> None:
        self._folder = folder
        self._mapping = mapping
        self._files = files
        self._database = database
        self._refuse = refuse
        self._columns: dict[str, str] = {}  # SQL expressions by name

    def rows(self) -> Iterator[Row]:
        lines = self._files.lines
        self._load(0, lines, None)
        for number, join in enumerate(self._files.join, 1):
            self._load(number, join.file, join)
        must_have(self._folder.name, sorted(self._columns), self._mapping.columns)
        self._report_lineless()
        return self._read()

    def _load(self, number: int, name: str, join: Join | None) -> None:
        with read_file(self._folder / name, self._mapping) as (header, rows):
            asked = {key: column.removeprefix(f"{_stem(name)}.") for key, column in self._mapping.columns.items()}
            must_have(name, header, {key: column for key, column in asked.items() if column in header})
            if join is not None:
                must_have(name, header, {f"files.join.{number - 1}.key": join.key})
                must_have("the files before it", sorted(self._columns), {f"files.join.{number - 1}.key": join.key})
            for at, column in enumerate(header):
                expression = f"t{number}.c{at}"
                self._columns.setdefault(column, expression)
                self._columns[f"{_stem(name)}.{column}"] = expression
            self._fill(number, header, rows, join)

    def _fill(self, number: int, header: list[str], rows: Iterator[Row], join: Join | None) -> None:
        names = [f"c{at}" for at in range(len(header))]
        self._database.execute(f"CREATE TABLE t{number} (line INTEGER, refusal TEXT, {', '.join(names)})")
        if join is not None:
            self._database.execute(f"CREATE UNIQUE INDEX k{number} ON t{number} (c{header.index(join.key)})")
        marks = ", ".join("?" * (len(names) + 2))
        insert = f"INSERT OR IGNORE INTO t{number} VALUES ({marks})"  # noqa: S608 - the names are ours
        for row in rows:
            refusal = row.refusal
            fields = [row.values.get(column, "") for column in header]
            if join is None or refusal is None:
                found = self._database.execute(insert, (row.line, refusal and refusal.name, *fields))
                refusal = None if join is None or found.rowcount else LineRefusal.REPEATED_KEY
            if refusal is not None:
                self._refuse(row, refusal)

    def _report_lineless(self) -> None:
        """Report orders of a joined file that no line belongs to."""
        order = self._mapping.lines.order
        for number, join in enumerate(self._files.join, 1):
            if join.key == order.removeprefix(f"{_stem(self._files.lines)}."):
                named = self._columns[f"{_stem(self._files.lines)}.{join.key}"]
                mine = self._columns[f"{_stem(join.file)}.{join.key}"]
                query = f"SELECT line, {mine} FROM t{number} WHERE {mine} NOT IN (SELECT {named} FROM t0)"  # noqa: S608
                for line, key in self._database.execute(query):
                    self._refuse(Row(join.file, line, {}), OrderRefusal.LINELESS, key, "order")

    def _read(self) -> Iterator[Row]:
        clock = Clock(self._mapping)
        self._database.create_function("instant", 1, clock.sortable, deterministic=True)
        names = sorted(self._columns)
        chosen = ", ".join(self._columns[name] for name in names)
        needed = [f"t{n}.line" for n, join in enumerate(self._files.join, 1) if not join.optional]
        unjoined = " OR ".join(f"{line} IS NULL" for line in needed) or "0"
        order = self._columns[self._mapping.lines.order]
        query = (  # the names are ours
            f"SELECT t0.line, t0.refusal, {unjoined}, {chosen} FROM {self._tables()} "  # noqa: S608
            f"ORDER BY instant({self._columns[self._mapping.lines.at]}), {order}, t0.line"
        )
        for line, refusal, alone, *fields in self._database.execute(query):
            reason = LineRefusal[refusal] if refusal else LineRefusal.UNJOINED if alone else None
            values = {name: field or "" for name, field in zip(names, fields, strict=True)}
            yield Row(self._files.lines, line, values, reason)

    def _tables(self) -> str:
        joined = ["t0"]
        for number, join in enumerate(self._files.join, 1):
            mine = self._columns[f"{_stem(join.file)}.{join.key}"]
            before = next(
                said for name, said in self._columns.items() if name == join.key or name.endswith(f".{join.key}")
            )
            joined.append(f"LEFT JOIN t{number} ON {mine} = {before} AND {before} <> ''")
        return " ".join(joined)


def _stem(name: str) -> str:
    return name.split(".")[0]
