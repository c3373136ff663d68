"""The terms that a search looks for: each word of the text, or similar words if no order has it.

All words must match. A word that no order has stands for the most similar words (typing errors), and the last word also
for the words that it begins. A customer's search uses the words of the customer's own orders only, so that a correction
never tells what other customers are called or have bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Integer, Numeric, Subquery, Table, cast, false, func, or_, select
from sqlalchemy.dialects.postgresql import TSQUERY

from services.query.lists import customer_or_guest
from services.query.snapshots import Snapshot
from services.query.tables import ORDERS, TEXTS, VOCABULARY
from services.read_model.terms import terms

__all__ = [
    "CORRECTED_MAX", "LAST_CHARACTER", "STOP_WORDS", "TEXT_CHARS_MAX", "WORDS_MAX", "SearchTerms", "search_terms",
    "similar_terms",
]  # fmt: skip

TEXT_CHARS_MAX = 200
WORDS_MAX = 32
"""Further different words are ignored."""
COMPLETIONS_MAX = 20
"""Words that the last word may begin: those that the most orders have."""
SIMILAR_MAX = 5
SIMILAR_COMPARED_MAX = 100
SIMILAR_PRIOR = 0.05
"""How much similarity a word gains if e times as many orders have it (Kernighan et al., 1990)."""
CORRECTED_MAX = 4
"""Unknown words that are corrected; finding similar words takes some milliseconds for each."""
OWN_ORDERS_MAX = 500
"""A customer's newest orders, whose words the customer's searches know."""
RARE_MAX = 15_000
"""Up to this many orders with the rarest word, matches are read from the index of terms."""
SAMPLE = 2_000
SAMPLE_MATCHES_MIN = 10
"""With this many matches among the SAMPLE newest orders, reading back from the newest order finds 500 sooner."""
EDITS = ((6, 2), (3, 1))
"""From how many letters on how many edits are corrected, as with Lucene's AUTO."""
LAST_CHARACTER = "\U0010ffff"
STOP_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "the", "to", "with")
)
"""English words that count only if the text has no other word."""

Vocabulary = Table | Subquery


@dataclass(frozen=True, slots=True)
class SearchTerms:
    """For each word the terms that match it; all words are required.

    `places` has the place of each word in the text. `common` says that matches are frequent among the newest orders, so
    that they are read along the time and not from the index of terms. The planner cannot know this: it takes words for
    independent, but the words of a product's name come together.
    """

    words: Mapping[str, Sequence[str]]
    places: Mapping[str, int]
    common: bool = False

    @property
    def every_term(self) -> frozenset[str]:
        """Every term that may have matched."""
        return frozenset(term for each in self.words.values() for term in each)

    @property
    def instead(self) -> Mapping[str, Sequence[str]]:
        """The words that no order has, with the similar words that are searched in their place."""
        return {word: found for word, found in self.words.items() if not any(term.startswith(word) for term in found)}

    @property
    def _possible(self) -> bool:
        return all(self.words.values())

    @property
    def _query(self) -> ColumnElement[Any]:
        """A tsquery; terms are letters, digits and symbols, so that none can contain an operator."""
        return cast(" & ".join(self._groups), TSQUERY)

    @property
    def _groups(self) -> Sequence[str]:
        return ["(" + " | ".join(f"'{term}'" for term in found) + ")" for found in self.words.values() if found]

    def match(self) -> ColumnElement[bool]:
        """The condition that an order has all words; if `common`, in a form that the index of terms cannot serve."""
        if not self._possible:
            return false()
        matches = self.match_document(TEXTS.c.document)
        return func.coalesce(matches, false()) if self.common else matches

    def match_document(self, document: ColumnElement[Any]) -> ColumnElement[bool]:
        """The condition that a document has all words."""
        return document.bool_op("@@")(self._query)

    def score(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        """The relevance of a document: name before goods before city and number, close words before distant ones.

        One is added if the words stand as in the text: a long order may have the words of one product's name in
        several other names.
        """
        rank = func.ts_rank(document, self._query)
        if len(self.words) > 1 and self._possible:
            first, *others = self._groups
            gaps = (after - before for before, after in pairwise(self.places[word] for word in self.words))
            phrase = first + "".join(f" <{gap}> {group}" for gap, group in zip(gaps, others, strict=True))
            rank += document.bool_op("@@")(cast(phrase, TSQUERY)).cast(Integer)
        return cast(rank, Numeric(9, 6))


async def search_terms(at: Snapshot, text: str, customer_id: str | None) -> SearchTerms:
    """The terms to search for a text that has at least one word."""
    places, last = _words(text)
    words = list(places)
    vocabulary = VOCABULARY if customer_id is None else _own_words(customer_id)
    known = await _known(at, vocabulary, words)
    found = {word: {word: known[word]} if word in known else {} for word in words}
    if last is not None:
        found[last] |= await _completions(at, vocabulary, last)
    for word in [word for word in words if not found[word]][:CORRECTED_MAX]:
        found[word] = await similar_terms(at, vocabulary, word)
    result = SearchTerms({word: sorted(orders) for word, orders in found.items()}, places)
    rarest = min(sum(orders.values()) for orders in found.values())
    if rarest <= RARE_MAX:
        return result
    return replace(result, common=await _sample_matches(at, result) >= SAMPLE_MATCHES_MIN)


def _words(text: str) -> tuple[Mapping[str, int], str | None]:
    """The different words with their first places, and the last word if the text ends with it."""
    found = terms(text)
    first: dict[str, int] = {}
    for place, term in enumerate(found):
        first.setdefault(term.word, place)
    words = [word for word in first if word not in STOP_WORDS] or list(first)
    last = found[-1].word if found[-1].end == len(text) else None
    places = {word: first[word] for word in words[:WORDS_MAX]}
    return places, last if last in places else None


def _own_words(customer_id: str) -> Subquery:
    """The words of a customer's own orders, in the form of the vocabulary."""
    newest = select(ORDERS.c.order_id).where(customer_or_guest == customer_id).order_by(ORDERS.c.created_at.desc())
    documents = select(TEXTS.c.document).where(TEXTS.c.order_id.in_(newest.limit(OWN_ORDERS_MAX))).subquery()
    each = select(func.unnest(func.tsvector_to_array(documents.c.document)).label("term")).subquery()
    return select(each.c.term, func.count().label("orders")).group_by(each.c.term).subquery()


async def _known(at: Snapshot, vocabulary: Vocabulary, words: Sequence[str]) -> dict[str, int]:
    term, orders = vocabulary.c.term, vocabulary.c.orders
    return {row["term"]: row["orders"] for row in await at.rows(select(term, orders).where(term.in_(words)))}


async def _completions(at: Snapshot, vocabulary: Vocabulary, beginning: str) -> dict[str, int]:
    term, orders = vocabulary.c.term, vocabulary.c.orders
    within = (term > beginning, term < beginning + LAST_CHARACTER)
    query = select(term, orders).where(*within).order_by(orders.desc(), term).limit(COMPLETIONS_MAX)
    return {row["term"]: row["orders"] for row in await at.rows(query)}


async def similar_terms(at: Snapshot, vocabulary: Vocabulary, word: str) -> dict[str, int]:
    """The words with the fewest edits and their orders, those first that the most orders have; none for numbers."""
    edits_max = next((edits for letters, edits in EDITS if len(word) >= letters), 0)
    if not edits_max or not word.isalpha():
        return {}
    term, orders = vocabulary.c.term, vocabulary.c.orders
    likely = func.similarity(term, word) + SIMILAR_PRIOR * func.ln(orders)
    swapped = term.in_(
        _swapped(word)
    )  # a short word with two letters swapped shares hardly a trigram with the original
    as_long = func.char_length(term).between(len(word) - edits_max, len(word) + edits_max)
    query = select(term, orders).where(or_(term.bool_op("%")(word), swapped), as_long)
    query = query.order_by(swapped.desc(), likely.desc(), term)
    rows = await at.rows(query.limit(SIMILAR_COMPARED_MAX))
    by_edits = sorted((edits_between(word, row["term"]), -row["orders"], row["term"]) for row in rows)
    return {term: -orders for edits, orders, term in by_edits[:SIMILAR_MAX] if edits == by_edits[0][0] <= edits_max}


def _swapped(word: str) -> Sequence[str]:
    """The words that result from swapping two neighbouring letters."""
    return [f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in range(len(word) - 1)]


async def _sample_matches(at: Snapshot, found: SearchTerms) -> int:
    """Return how many of the newest orders match."""
    by_time = (TEXTS.c.created_at.desc(), TEXTS.c.order_id.desc())
    newest = select(TEXTS.c.document).order_by(*by_time).limit(SAMPLE).subquery()
    rows = await at.rows(select(func.count().label("matches")).where(found.match_document(newest.c.document)))
    return int(rows[0]["matches"]) if rows else 0


def edits_between(one: str, other: str) -> int:
    """The number of letters to insert, delete, replace or swap with a neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, theirs in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != theirs))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == theirs:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]
