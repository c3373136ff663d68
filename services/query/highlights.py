"""Where the words stand that an order was found by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from functools import lru_cache
from html import escape
from itertools import islice

from services.kit.terms import Term, terms

__all__ = ["highlights", "marked"]

GOODS_MAX = 5
NAMES_REMEMBERED_MAX = 20_000

_terms_of_goods = lru_cache(NAMES_REMEMBERED_MAX)(terms)  # never of people: what is erased is not to be remembered


def highlights(
    found: Set[str], customer_name: str | None, goods: Iterable[str], city: str, number: str | None
) -> dict[str, list[str]]:
    """By field, the texts with a term of `found` in them, as `marked` shows them."""
    marked_goods = (text for name in goods if (text := marked(name, _terms_of_goods(name), found)))
    shown = {
        "customer_name": [marked(customer_name or "", terms(customer_name or ""), found)],
        "product_name": list(islice(marked_goods, GOODS_MAX)),
        "city": [marked(city, terms(city), found)],
        "number": [marked(number or "", terms(number or ""), found)],
    }
    return {field: texts for field, texts in shown.items() if any(texts)}


def marked(text: str, its_terms: Sequence[Term], found: Set[str]) -> str:
    """The text as HTML, everything escaped, each term of `found` in <em>; empty if there is none in it."""
    if not any(term.word in found for term in its_terms):
        return ""
    pieces: list[str] = []
    at = 0
    for start, end in _joined(term for term in its_terms if term.word in found):
        pieces += [escape(text[at:start]), "<em>", escape(text[start:end]), "</em>"]
        at = end
    return "".join([*pieces, escape(text[at:])])


def _joined(matches: Iterable[Term]) -> Iterator[tuple[int, int]]:
    """The places, those that overlap as one."""
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
