"""A file in another encoding than the mapping says is refused, with the line, the byte and the likely encoding."""

from __future__ import annotations

import codecs
import gzip
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tools.test_importer_foreign_files import HEADER, ROW, mapping, read
from tools.importer.encodings import CHUNK_BYTES, encoding_fault
from tools.importer.rows import BadFileError

GERMAN = "Müller aus Köln für Größe, Käse"
RUSSIAN = "Москва, улица Ленина"
JAPANESE = "ひらがなカタカナ"


def fault(content: bytes, encoding: str) -> str:
    return encoding_fault(BytesIO(content), encoding) or ""


@pytest.mark.parametrize(
    ("encoding", "written", "text", "likely"),
    [
        ("utf-8", "cp1252", GERMAN, "cp1252"),
        ("utf-8", "iso-8859-1", GERMAN, "cp1252"),
        ("utf-8", "cp850", GERMAN, "cp850"),
        ("utf-8", "mac_roman", GERMAN, "mac_roman"),
        ("utf-8", "cp1251", RUSSIAN, "cp1251"),
        ("utf-8", "cp932", JAPANESE, "cp932"),
        ("utf-8", "utf-16", GERMAN, "utf-16"),
        ("utf-8", "utf-16-le", GERMAN, "utf-16-le"),
        ("utf-8", "utf-16-be", GERMAN, "utf-16-be"),
        ("utf-8", "utf-32", GERMAN, "utf-32"),
        ("cp1252", "utf-8", GERMAN, "utf-8"),
        ("cp1252", "utf-8-sig", "plain", "utf-8"),
        ("cp1252", "utf-16", "plain", "utf-16"),
        ("cp1252", "cp850", GERMAN, "cp850"),
        ("cp850", "cp1252", GERMAN, "cp1252"),
        ("cp850", "utf-8", GERMAN, "utf-8"),
        ("iso-8859-1", "utf-8", GERMAN, "utf-8"),
        ("iso-8859-1", "cp1252", "5 € – für Käse", "cp1252"),
        ("ascii", "utf-8", GERMAN, "utf-8"),
        ("utf-16", "utf-8", GERMAN, "utf-8"),
        ("utf-16-le", "utf-16-be", "plain text", "utf-16-be"),
        ("utf-16-le", "utf-8-sig", "plain text", "utf-8"),
        ("utf-16", "utf-16-be", "plain text", "utf-16-be"),
        ("cp932", "utf-8", JAPANESE, "utf-8"),
    ],
)
def test_a_file_in_another_encoding_is_refused_and_its_encoding_guessed(
    encoding: str, written: str, text: str, likely: str
) -> None:
    said = fault(f"number;name\n1;plain\n2;{text}\n".encode(written), encoding)
    assert f"is not in {encoding}, the encoding of the mapping: line " in said
    assert f'encoding = "{likely}"' in said


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-8", GERMAN.encode()),
        ("utf-8", codecs.BOM_UTF8 + GERMAN.encode()),
        ("utf-8-sig", codecs.BOM_UTF8 + GERMAN.encode()),
        ("utf-8", b"NUL \0 in a line"),
        ("cp1252", GERMAN.encode("cp1252")),
        ("cp1252", "rock’n’roll – “ab”cd, 12”x7”, 5 £/m²·b™x, 1½in, Š Ž, AT&T®s".encode("cp1252")),
        ("cp1252", b"plain"),
        ("iso-8859-15", "5 € für Käse".encode("iso-8859-15")),
        ("cp850", GERMAN.encode("cp850")),
        ("cp1251", RUSSIAN.encode("cp1251")),
        ("cp932", JAPANESE.encode("cp932")),
        ("gb18030", "联通".encode("gb18030")),
        ("utf-16", GERMAN.encode("utf-16")),
        ("utf-16-le", codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le")),
        ("utf-16-be", GERMAN.encode("utf-16-be")),
        ("utf-16", RUSSIAN.encode("utf-16")),
        ("utf-8", b""),
    ],
)
def test_a_file_in_the_encoding_of_the_mapping_is_accepted(encoding: str, content: bytes) -> None:
    assert fault(content, encoding) == ""


@given(st.text(), st.sampled_from(["utf-8", "utf-16", "utf-32", "gb18030"]))
def test_any_text_is_accepted_in_the_encoding_that_it_was_written_in(text: str, encoding: str) -> None:
    assert fault(text.replace("\0", "").encode(encoding), encoding) == ""


@pytest.mark.parametrize("before", [0, CHUNK_BYTES - 20, 3 * CHUNK_BYTES + 7])
def test_the_line_and_the_byte_are_named(before: int) -> None:
    start = b"plain;text\n" * (before // 11)
    said = fault(start + b"x;caf\xe9 au lait\n", "utf-8")
    assert f"line {before // 11 + 1} has the byte 0xE9, number {len(start) + 6} of the file" in said
    cut = fault(start + b"x;caf\xc3", "utf-8")
    assert f"line {before // 11 + 1} has the byte 0xC3, number {len(start) + 6} of the file, unexpected end" in cut


@pytest.mark.parametrize("packed", [False, True])
def test_no_line_of_such_a_file_is_imported(tmp_path: Path, packed: bool) -> None:
    content = f"{HEADER}\n{ROW}\n{ROW.replace('ann', 'Zoë')}\n".encode("cp1252")
    with pytest.raises(BadFileError, match=r"sales.csv is not in utf-8, .* line 3 has the byte 0xEB"):
        read(tmp_path, content)
    (tmp_path / "sales.csv.gz").write_bytes(gzip.compress(content))
    orders, _ = read(tmp_path, content, mapping(tmp_path, 'encoding = "cp1252"'))
    assert len(orders) == 1
