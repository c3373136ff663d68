"""Highlights of search results: the texts of an order that match, as HTML with the matching words in <em>."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from html import escape

from services.read_model.terms import Term, terms

__all__ = ["highlights", "marked"]

NAMES_SHOWN_MAX = 5
NAMES_CACHED_MAX = 20_000


def highlights(
    found: frozenset[str], customer_name: str | None, goods: Iterable[str], city: str, number: str | None
) -> dict[str, list[str]]:
    """By field the texts that contain a term of `found`; of the goods the first NAMES_SHOWN_MAX."""
    shown = {
        "customer_name": [marked(customer_name or "", terms(customer_name or ""), found)],
        "product_name": _marked_goods(goods, found),
        "city": [marked(city, terms(city), found)],
        "number": [marked(number or "", terms(number or ""), found)],
    }
    return {field: texts for field, texts in shown.items() if any(texts)}


def _marked_goods(goods: Iterable[str], found: frozenset[str]) -> list[str]:
    shown: dict[str, str] = {}
    for name in goods:
        its_terms, words = _terms_of_goods(name)
        if not found.isdisjoint(words):
            shown[name] = marked(name, its_terms, found)
            if len(shown) == NAMES_SHOWN_MAX:
                break
    return list(shown.values())


@lru_cache(NAMES_CACHED_MAX)  # names of goods only: an erased person's name must not stay in a cache
def _terms_of_goods(name: str) -> tuple[Sequence[Term], frozenset[str]]:
    its_terms = terms(name)
    return its_terms, frozenset(term.word for term in its_terms)


def marked(text: str, its_terms: Sequence[Term], found: frozenset[str]) -> str:
    """The text as escaped HTML with each term of `found` in <em>; empty if it contains none."""
    matches = [term for term in its_terms if term.word in found]
    if not matches:
        return ""
    pieces: list[str] = []
    at = 0
    for start, end in _merged(matches):
        pieces += [escape(text[at:start]), "<em>", escape(text[start:end]), "</em>"]
        at = end
    return "".join([*pieces, escape(text[at:])])


def _merged(matches: Iterable[Term]) -> Iterator[tuple[int, int]]:
    """The places of the matches; overlapping ones are merged."""
    open_: tuple[int, int] | None = None
    for start, end in sorted((term.start, term.end) for term in matches):
        if open_ and start < open_[1]:
            open_ = (open_[0], max(open_[1], end))
            continue
        if open_:
            yield open_
        open_ = (start, end)
    if open_:
        yield open_
