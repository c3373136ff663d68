"""The terms of a text: what an index holds and what a search looks for, made in one way for both.

Case, accents and width do not count (Unicode NFKD, case folding, marks dropped), in any script. Everything that is no
letter, digit or symbol separates, but an apostrophe inside a word joins. A symbol (£, ♥) is a term. Scripts that write
no spaces give each character and each pair of neighbours.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import groupby, pairwise
from typing import NamedTuple

__all__ = ["TERM_CHARS_MAX", "Term", "terms"]

TERM_CHARS_MAX = 40
"""Longer terms that begin with the same characters count as equal."""
CHARACTERS_REMEMBERED_MAX = 5_000
ASCII = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*|\$")
APOSTROPHES = frozenset("'’ʼ＇")
SYMBOLS = ("Sc", "So")
LIKE = {"ø": "o", "đ": "d", "ð": "d", "ł": "l", "æ": "ae", "œ": "oe", "ı": "i", "þ": "th", "ħ": "h", "ŧ": "t"}
"""Letters that people type otherwise and that Unicode does not take apart."""
UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x3100, 0x312F),
    (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Thai, Lao, Myanmar, Khmer, kana, bopomofo and Han, which are written without spaces between words."""


class Term(NamedTuple):
    """A term and where in the text it stands."""

    word: str
    start: int
    end: int


class _Character(NamedTuple):
    kind: str  # word, pair (of a script without spaces), symbol, apostrophe, mark, or empty: it separates
    folded: str


def terms(text: str) -> tuple[Term, ...]:
    """The terms of a text, as they stand in it."""
    if text.isascii():
        found = ASCII.finditer(text.lower())
        return tuple(Term(each[0].replace("'", "")[:TERM_CHARS_MAX], *each.span()) for each in found)
    characters = [_character(each) for each in text]
    kinds = _joined([each.kind for each in characters])
    return tuple(term for run in _runs(kinds) for term in _terms_of(run, kinds[run[0]], characters) if term.word)


def _joined(kinds: list[str]) -> list[str]:
    """A mark belongs to what it is on, an apostrophe to the word that it is inside of; elsewhere they separate."""
    for at, kind in enumerate(kinds):
        before = kinds[at - 1] if at else ""
        if kind == "mark":
            kinds[at] = before if before in ("word", "pair") else ""
        elif kind == "apostrophe":
            kinds[at] = "word" if before == "word" and kinds[at + 1 : at + 2] == ["word"] else ""
    return kinds


def _runs(kinds: Sequence[str]) -> Iterator[Sequence[int]]:
    for kind, places in groupby(range(len(kinds)), key=kinds.__getitem__):
        if kind:
            yield list(places)


def _terms_of(run: Sequence[int], kind: str, characters: Sequence[_Character]) -> Iterator[Term]:
    if kind == "word":
        yield _term(run, characters)
        return
    letters = [at for at in run if characters[at].folded]
    yield from (_term([at], characters) for at in letters)
    if kind == "pair":
        yield from (_term(pair, characters) for pair in pairwise(letters))


def _term(places: Sequence[int], characters: Sequence[_Character]) -> Term:
    word = unicodedata.normalize("NFC", "".join(characters[at].folded for at in places))
    return Term(word[:TERM_CHARS_MAX], places[0], places[-1] + 1)


@lru_cache(CHARACTERS_REMEMBERED_MAX)
def _character(one: str) -> _Character:
    if one in APOSTROPHES:
        return _Character("apostrophe", "")
    category = unicodedata.category(one)
    if category in SYMBOLS:
        return _Character("symbol", unicodedata.normalize("NFD", one)[0])
    if category[0] not in "LMN":
        return _Character("", "")
    folded = _folded(one)
    if not folded:
        return _Character("mark", "")
    return _Character("pair" if _unspaced(folded[0]) else "word", folded)


def _folded(one: str) -> str:
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", one).casefold())
    letters = (part for part in apart if unicodedata.category(part)[0] in "LN" and part not in APOSTROPHES)
    return "".join(LIKE.get(part, part) for part in letters)


def _unspaced(one: str) -> bool:
    return any(first <= ord(one) <= last for first, last in UNSPACED)
