"""The rows of CSV files, one at a time, each with the reason for which it is refused by itself, if there is one."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from tools.importer.encodings import encoding_fault
from tools.importer.mapping import Cell
from tools.importer.mapping import Mapping as Meaning
from tools.importer.records import LineRefusal

__all__ = ["BadFileError", "Row", "must_have", "read_file", "split_cells"]

FIELD_CHARS_MAX = 1_000_000
COLUMNS_OF_A_ROW_MIN = 4
"""A line within a field counts as a row from so many columns on: an address or a note may look like a shorter one."""
BLANK_SEPARATED = re.compile(r'"(?:[^"]|"")*"|\S+')
BYTE_ORDER_MARK = "\ufeff"
"""Decoding leaves the mark if the name of the encoding has the byte order, as utf-16-le does."""


class BadFileError(Exception):
    """A file cannot be read, or lacks a column."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, by column, whose last line in `file` is `line`; `refusal` if it cannot be used."""

    file: str
    line: int
    values: Mapping[str, str]
    refusal: LineRefusal | None = None


@contextmanager
def read_file(file: Path, meaning: Meaning) -> Generator[tuple[list[str], Iterator[Row]]]:
    """Header and rows of a CSV file, plain or gzipped, as a stream; BadFileError if it cannot be read."""
    csv.field_size_limit(FIELD_CHARS_MAX)
    try:
        text = _opened(file, meaning.encoding)
        about = file.stat()
    except OSError as error:
        raise BadFileError(f"{file} cannot be read: {error.strerror or error}") from error
    with text:
        if fault := _fault(file, meaning.encoding, about.st_mtime_ns, about.st_size):
            raise BadFileError(f"{file.name} {fault}")
        blanks = meaning.delimiter == "blanks"
        delimiter = "\t" if blanks else meaning.delimiter
        reader = csv.reader(map(_tabbed, text) if blanks else text, delimiter=delimiter)
        found = _guarded(file, reader, lambda: reader.line_num)
        header = _header(file, next(found, list[str]()), meaning)
        whole = _without_swallowed_rows(file, found, delimiter, len(header), lambda: reader.line_num)
        yield header, _rows(file, whole, header, frozenset(meaning.empty), lambda: reader.line_num)


def split_cells(rows: Iterator[Row], cell: Cell | None) -> Iterator[Row]:
    """A row for each part of the cell that holds several goods; a part that does not match is refused."""
    if cell is None:
        yield from rows
        return
    for row in rows:
        parts = [part for each in row.values.get(cell.column, "").split(cell.separator) if (part := each.strip())]
        for part in parts or [""]:
            found = cell.pattern.fullmatch(part)
            named = dict.fromkeys(cell.pattern.groupindex, "") | (found.groupdict("") if found else {})
            refusal = row.refusal or (None if found else LineRefusal.CELL)
            yield replace(row, values={**row.values, **named}, refusal=refusal)


def _tabbed(line: str) -> str:
    """A line with single tabs in the place of blanks, except those within quotes."""
    return "\t".join(BLANK_SEPARATED.findall(line)) + "\n"


def must_have(file: str, header: list[str], columns: Mapping[str, str]) -> None:
    """Check that each column is there once; BadFileError names the column and its key in the mapping."""
    if twice := sorted({column for column in columns.values() if header.count(column) > 1}):
        raise BadFileError(f"{file} has the column {', '.join(twice)} twice: rename one")
    missing = [f"{column} ({key})" for key, column in columns.items() if column not in header]
    if missing:
        raise BadFileError(
            f"{file} has no column {', '.join(missing)}; its columns are {', '.join(filter(None, header))}"
        )


def _opened(file: Path, encoding: str) -> TextIO:
    codec = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    opened = gzip.open if file.suffix == ".gz" else open
    return opened(file, "rt", encoding=codec, newline="")


@lru_cache(maxsize=64)
def _fault(file: Path, encoding: str, changed: int, size: int) -> str | None:
    """Why a file is not in this encoding. It is looked through once, although it is read several times."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
        try:
            return encoding_fault(cast("BinaryIO", stream), encoding)
        except (OSError, EOFError, zlib.error):
            return None  # reading the rows raises the same error, with the line


def _guarded(file: Path, rows: Iterator[list[str]], line: Callable[[], int]) -> Iterator[list[str]]:
    """The rows; BadFileError where the file cannot be read any further."""
    while True:
        try:
            yield next(rows)
        except StopIteration:
            return
        except (OSError, EOFError, zlib.error, csv.Error, UnicodeError) as error:
            raise BadFileError(f"{file.name} cannot be read after line {line()}: {error}") from error


def _header(file: Path, header: list[str], meaning: Meaning) -> list[str]:
    if not header:
        raise BadFileError(f"{file.name} is empty")
    if any("\0" in name for name in header):
        raise BadFileError(
            f"{file.name} has a NUL character in its header: it is not a text file in {meaning.encoding}"
        )
    return [name.removeprefix(BYTE_ORDER_MARK).strip() for name in header]


def _without_swallowed_rows(
    file: Path, rows: Iterator[list[str]], delimiter: str, columns: int, line: Callable[[], int]
) -> Iterator[list[str]]:
    """The rows; BadFileError at a field that contains whole rows, because a quotation mark is missing."""
    before = line()
    for fields in rows:
        inside = [each for field in fields for each in field.splitlines()[1:]] if line() > before + 1 else []
        if columns >= COLUMNS_OF_A_ROW_MIN and any(
            len(row) == columns for row in csv.reader(inside, delimiter=delimiter)
        ):
            raise BadFileError(
                f"{file.name} has a field that begins in line {before + 1}, ends in line {line()} and contains whole "
                "rows: a quotation mark is missing in it, or one too many. Correct these lines."
            )
        before = line()
        yield fields


def _rows(
    file: Path, found: Iterator[list[str]], header: list[str], empty: frozenset[str], line: Callable[[], int]
) -> Iterator[Row]:
    for fields in found:
        if not fields:
            continue  # an empty line is not a row
        while len(fields) > len(header) and not fields[-1]:
            fields.pop()  # spreadsheets end lines with separators
        if empty:
            fields = ["" if field.strip() in empty else field for field in fields]
        control = LineRefusal.CONTROL if any("\0" in field for field in fields) else None
        refusal = LineRefusal.RAGGED if len(fields) != len(header) else control
        yield Row(file.name, line(), dict(zip(header, fields, strict=False)), refusal)
