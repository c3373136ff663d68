"""The rows of CSV files, one at a time; what a row alone can be refused for is said with it."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tools.importer.mapping import Mapping as Meaning
from tools.importer.records import LineRefusal

__all__ = ["BadFileError", "Row", "must_have", "read_file"]

FIELD_CHARS_MAX = 1_000_000
BYTE_ORDER_MARK = "\ufeff"
"""It is left where an encoding says its byte order, as utf-16-le does."""
UNDECODABLE = ("\udc80", "\udcff")
"""How Python keeps bytes that are not in the encoding (PEP 383): from, to."""


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
    except OSError as error:
        raise BadFileError(f"{file} cannot be read: {error.strerror or error}") from error
    with text:
        reader = csv.reader(text, delimiter=meaning.delimiter)
        found = _guarded(file, reader, lambda: reader.line_num)
        header = _header(file, next(found, list[str]()), meaning)
        yield header, _rows(file, found, header, frozenset(meaning.empty), lambda: reader.line_num)


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
    return opened(file, "rt", encoding=codec, errors="surrogateescape", newline="")


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
    if any(_undecodable(name) or "\0" in name for name in header):
        raise BadFileError(
            f"{file.name} is not encoded in {meaning.encoding}: change the key `encoding` of the mapping"
        )
    return [name.removeprefix(BYTE_ORDER_MARK).strip() for name in header]


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
        refusal = LineRefusal.RAGGED if len(fields) != len(header) else _refusal(fields)
        yield Row(file.name, line(), dict(zip(header, fields, strict=False)), refusal)


def _refusal(fields: list[str]) -> LineRefusal | None:
    text = "".join(fields)
    if text.isascii():
        return LineRefusal.CONTROL if "\0" in text else None
    return LineRefusal.ENCODING if _undecodable(text) else LineRefusal.CONTROL if "\0" in text else None


def _undecodable(text: str) -> bool:
    first, last = UNDECODABLE
    return any(first <= char <= last for char in text)
