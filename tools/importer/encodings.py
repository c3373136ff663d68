"""Checks that a file is in the encoding that its mapping names, before a line of it is imported.

Most encodings decode the bytes of any other into something, so the check also looks for signs of another encoding: its
byte order mark, zero bytes, text that is valid UTF-8, control characters, and symbols inside of words.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO

__all__ = ["encoding_fault"]

CHUNK_BYTES = 65_536
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""UTF-32 comes first: its mark begins with that of UTF-16."""
ZEROS_SHARE_MIN = 0.4
"""The share of zero bytes at the even or the odd places of western text in UTF-16."""
CONTROL = re.compile("[\x80-\x84\x86-\x9f]")
"""Control characters of ISO 8859 that no text has; U+0085 is a line end of mainframes."""
IN_A_WORD = re.compile("(?<=[A-Za-z])[„‚‹†‡‰ˆ÷³ⁿ¤¦¨¬¯¸¹¼¾\u2500-\u259f](?=[a-z])")
"""Symbols that stand between letters only if the text is decoded wrongly."""
SINGLES_MIN = 96
"""Of the bytes above 127, those that are a character alone: cp932 has 68, all code pages of one byte have more."""
WESTERN = ("cp1252", "cp850", "mac_roman")
CYRILLIC_RUN_MIN = 3
"""Bytes above 127 in a row: western words have one or two, Cyrillic ones only such."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A byte of the file (number `place`, counted from 0), its line, what is wrong with it, and bytes around it."""

    line: int
    place: int
    byte: int
    why: str
    sample: bytes


def encoding_fault(stream: BinaryIO, encoding: str) -> str | None:
    """Why the bytes are not in this encoding, with line, byte and the likely encoding; None if they are."""
    codec = codecs.lookup(encoding).name
    first = stream.read(CHUNK_BYTES)
    if (likely := _by_first_bytes(first)) and not _includes(codec, likely):
        mark = next((mark for mark, _ in MARKS if first.startswith(mark)), b"")
        why = f"which begins the byte order mark of {likely}" if mark else f"and zero bytes as {likely} has them"
        return _told(_Found(1, 0, first[0], why, first), encoding, likely)
    if first and not likely and codec in ("utf-16", "utf-32"):
        return _told(_Found(1, 0, first[0], "and no byte order mark", first), encoding, _guess(first, codec))
    found = _undecodable(_chunks(first, stream), codec)
    return _told(found, encoding, _guess(found.sample, codec)) if found else None


def _told(found: _Found, encoding: str, likely: str) -> str:
    hint = f'It is likely {likely}: write encoding = "{likely}" in the mapping.' if likely else "Change `encoding`."
    place = f"line {found.line} has the byte 0x{found.byte:02X}, number {found.place + 1} of the file, {found.why}"
    return f"is not in {encoding}, the encoding of the mapping: {place}. {hint} Nothing of it is imported."


def _chunks(first: bytes, stream: BinaryIO) -> Iterator[bytes]:
    while first:
        yield first
        first = stream.read(CHUNK_BYTES)


def _by_first_bytes(first: bytes) -> str:
    """The encoding that a byte order mark or zero bytes show; empty if they show none."""
    for mark, name in MARKS:
        if first.startswith(mark):
            return name
    for name, zeros in (("utf-16-be", first[0:2_000:2]), ("utf-16-le", first[1:2_000:2])):
        if zeros and zeros.count(0) / len(zeros) > ZEROS_SHARE_MIN:
            return name
    return ""


def _includes(codec: str, likely: str) -> bool:
    """Whether a codec reads what the first bytes show; `utf-16` reads no file without a mark."""
    return codec.startswith(likely) or codec in ("utf-32-le", "utf-32-be")


def _undecodable(chunks: Iterator[bytes], codec: str) -> _Found | None:
    """The first byte that does not decode, or decodes to something that no text has."""
    decoder, single = codecs.getincrementaldecoder(codec)("strict"), _is_single_byte(codec)
    utf8 = codecs.getincrementaldecoder("utf-8")("strict") if single else None
    above: _Found | None = None
    line, place = 1, 0
    for chunk in chunks:
        try:
            text = decoder.decode(chunk)
        except UnicodeDecodeError as error:
            return _at(error.object, error.start, line, place + len(chunk) - len(error.object), error.reason)
        if single and not chunk.isascii():
            if odd := CONTROL.search(text) or IN_A_WORD.search(text):
                return _at(chunk, odd.start(), line, place, f"which is {odd[0]!r} there")
            above = above or _at(chunk, _first_above(chunk), line, place, "which belongs to a valid character of utf-8")
        if utf8 is not None:
            utf8 = utf8 if _decodes(utf8, chunk) else None
        line, place = line + text.count("\n"), place + len(chunk)
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return _at(error.object, error.start, line, place - len(error.object), error.reason)
    return above if utf8 is not None and _decodes(utf8, b"", final=True) else None


def _at(chunk: bytes, start: int, line: int, place: int, why: str) -> _Found:
    begin = chunk.rfind(b"\n", 0, start) + 1
    return _Found(line + chunk.count(b"\n", 0, start), place + start, chunk[start], why, chunk[begin:])


def _is_single_byte(codec: str) -> bool:
    return len([byte for byte in range(128, 256) if bytes([byte]).decode(codec, "ignore")]) > SINGLES_MIN


def _first_above(chunk: bytes) -> int:
    return next(at for at, byte in enumerate(chunk) if byte > 127)


def _decodes(decoder: codecs.IncrementalDecoder, chunk: bytes, *, final: bool = False) -> bool:
    try:
        decoder.decode(chunk, final=final)
    except UnicodeDecodeError:
        return False
    return True


def _guess(sample: bytes, codec: str) -> str:
    """The likely encoding of bytes that are not in `codec`; empty if nothing is likely."""
    whole = sample.lstrip(bytes(range(0x80, 0xC0)))  # the rest of a character that the chunk before began
    if codec != "utf-8" and _decodes(codecs.getincrementaldecoder("utf-8")("strict"), whole):
        return "utf-8"
    runs = [len(list(run)) for above, run in groupby(sample, lambda byte: byte > 127) if above]
    if sum(run for run in runs if run >= CYRILLIC_RUN_MIN) > sum(runs) / 2:
        return _by_script(sample)
    known = [each for each in WESTERN if codecs.lookup(each).name != codec]
    return max(known, key=lambda each: _letters(sample, each))


def _by_script(sample: bytes) -> str:
    kana = len(re.findall("[\u3040-\u30ff]", sample.decode("cp932", "replace")))
    cyrillic = len(re.findall("[а-я]", sample.decode("cp1251", "replace")))
    return "" if max(kana, cyrillic) == 0 else "cp932" if kana > cyrillic else "cp1251"


def _letters(sample: bytes, codec: str) -> int:
    """How much the bytes above 127 look like text in this encoding."""
    text = sample.decode(codec, "replace")
    return sum(_likelihood(char) for char in text if ord(char) > 127) - 5 * len(IN_A_WORD.findall(text))


def _likelihood(char: str) -> int:
    if char == "\ufffd":
        return -10
    return 0 if char in "ºªƒ" or not char.isalpha() else 3 if char.islower() else 1
