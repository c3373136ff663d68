"""What somebody means by the words they typed: which terms of the index are to be looked for.

Each word must be there. One that no order has stands for the likest words there are (typing errors), and the last one
for what begins with it, too. Whoever may see the orders of one customer is answered from the words of these alone, so
that nobody learns from a correction what others are called or have bought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from sqlalchemy import ColumnElement, Integer, Numeric, Subquery, Table, cast, false, func, or_, select
from sqlalchemy.dialects.postgresql import TSQUERY

from services.query.filters import whose
from services.query.snapshots import Snapshot
from services.query.tables import ORDERS, TEXTS, VOCABULARY
from services.read_model.terms import terms

__all__ = ["TEXT_CHARS_MAX", "Meaning", "meaning_of"]

TEXT_CHARS_MAX = 200
WORDS_MAX = 32
"""Of more different words the first ones count."""
BEGUN_MAX = 20
"""The last word stands for at most so many that begin with it, those that most orders have."""
LIKE_MAX = 5
LIKE_COMPARED_MAX = 100
LIKE_PRIOR = 0.05
"""By how much a word that is e times as common is the likelier one, as likeness counts (Kernighan et al., 1990)."""
MENDED_MAX = 4
"""So many unknown words are taken for typing errors; looking for likely ones costs some milliseconds each."""
OWN_ORDERS_MAX = 500
"""Of one customer the words of the newest orders are known."""
LOOKED_UP_MAX = 15_000
"""Where no more orders than this have the rarest word, they are looked up in the index of terms without a sample."""
SAMPLE = 2_000
"""So many of the newest orders are asked whether they have all words."""
WALKED_FROM = 500 * SAMPLE // 3
"""What is common: orders of the sample that have all words, times all orders that may have them.

To walk to 500 means to pass 500 * SAMPLE / sampled documents, three in the time in which one order is looked up.
"""
EDITS = ((6, 2), (3, 1))
"""From how many letters on how many edits are forgiven, as Lucene's AUTO does it."""
LAST_CHARACTER = "\U0010ffff"
STOP = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "is", "it", "of", "on", "or", "the", "to", "with")
)
"""English words that hold no meaning here; they count where there is no other word."""

Vocabulary = Table | Subquery


@dataclass(frozen=True, slots=True)
class Meaning:
    """For each word the terms that it stands for; all words are required.

    `places` says where in the text each word stands.
    `common` says that the newest with all of them are found sooner by walking along the time than by looking all up.
    The planner cannot know: it takes words for independent of each other, and those of one product's name come
    together.
    """

    words: Mapping[str, Sequence[str]]
    places: Mapping[str, int]
    common: bool = False

    @property
    def terms(self) -> frozenset[str]:
        """Every term that may have matched."""
        return frozenset(term for each in self.words.values() for term in each)

    @property
    def instead(self) -> Mapping[str, Sequence[str]]:
        """The words that no order has, and those that were looked for in their place."""
        return {word: found for word, found in self.words.items() if not any(term.startswith(word) for term in found)}

    @property
    def possible(self) -> bool:
        """Whether any order can match."""
        return all(self.words.values())

    @property
    def query(self) -> ColumnElement[Any]:
        """As Postgres has it; terms are letters, digits and symbols, so that none can be more than a term."""
        return cast(" & ".join(self._groups), TSQUERY)

    @property
    def _groups(self) -> Sequence[str]:
        return ["(" + " | ".join(f"'{term}'" for term in found) + ")" for found in self.words.values() if found]

    def matches(self) -> ColumnElement[bool]:
        """Whether a document has all of it; in a form that no index has if it is common."""
        if not self.possible:
            return false()
        has = self.has(TEXTS.c.document)
        return func.coalesce(has, false()) if self.common else has

    def has(self, document: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether this document has all of it."""
        return document.bool_op("@@")(self.query)

    def score(self, document: ColumnElement[Any]) -> ColumnElement[Any]:
        """How well a document matches: name before goods before city and number, words near each other before others.

        One more if they stand there as they were typed: an order of much may have all words of a name in other names.
        """
        rank = func.ts_rank(document, self.query)
        if len(self.words) > 1 and self.possible:
            begins, *others = self._groups
            gaps = (after - before for before, after in pairwise(self.places[word] for word in self.words))
            phrase = begins + "".join(f" <{gap}> {group}" for gap, group in zip(gaps, others, strict=True))
            rank += document.bool_op("@@")(cast(phrase, TSQUERY)).cast(Integer)
        return cast(rank, Numeric(9, 6))


async def meaning_of(at: Snapshot, text: str, customer_id: str | None) -> Meaning:
    """What a text asks for that has a word in it."""
    places, begun = _words(text)
    words = list(places)
    vocabulary = VOCABULARY if customer_id is None else _own(customer_id)
    known = await _known(at, vocabulary, words)
    found = {word: {word: known[word]} if word in known else {} for word in words}
    if begun is not None:
        found[begun] |= await _beginning(at, vocabulary, begun)
    for word in [word for word in words if not found[word]][:MENDED_MAX]:
        found[word] = await _like(at, vocabulary, word)
    meaning = Meaning({word: sorted(orders) for word, orders in found.items()}, places)
    rarest = min(sum(orders.values()) for orders in found.values())
    if rarest <= LOOKED_UP_MAX:
        return meaning
    return replace(meaning, common=rarest * await _sampled(at, meaning) >= WALKED_FROM)


def _words(text: str) -> tuple[Mapping[str, int], str | None]:
    """The different words that count with their first places, and the last one if it may go on."""
    found = terms(text)
    first: dict[str, int] = {}
    for place, term in enumerate(found):
        first.setdefault(term.word, place)
    words = [word for word in first if word not in STOP] or list(first)
    last = found[-1].word if found[-1].end == len(text) else None
    places = {word: first[word] for word in words[:WORDS_MAX]}
    return places, last if last in places else None


def _own(customer_id: str) -> Subquery:
    """The words of a customer's own orders, as a vocabulary."""
    newest = select(ORDERS.c.order_id).where(whose == customer_id).order_by(ORDERS.c.created_at.desc())
    documents = select(TEXTS.c.document).where(TEXTS.c.order_id.in_(newest.limit(OWN_ORDERS_MAX))).subquery()
    each = select(func.unnest(func.tsvector_to_array(documents.c.document)).label("term")).subquery()
    return select(each.c.term, func.count().label("orders")).group_by(each.c.term).subquery()


async def _known(at: Snapshot, vocabulary: Vocabulary, words: Sequence[str]) -> dict[str, int]:
    term, orders = vocabulary.c.term, vocabulary.c.orders
    return {row["term"]: row["orders"] for row in await at.rows(select(term, orders).where(term.in_(words)))}


async def _beginning(at: Snapshot, vocabulary: Vocabulary, begun: str) -> dict[str, int]:
    term, orders = vocabulary.c.term, vocabulary.c.orders
    within = (term > begun, term < begun + LAST_CHARACTER)
    query = select(term, orders).where(*within).order_by(orders.desc(), term).limit(BEGUN_MAX)
    return {row["term"]: row["orders"] for row in await at.rows(query)}


async def _like(at: Snapshot, vocabulary: Vocabulary, word: str) -> dict[str, int]:
    """The words that are the fewest edits away, those first that most orders have; none for numbers."""
    edits_max = next((edits for letters, edits in EDITS if len(word) >= letters), 0)
    if not edits_max or not word.isalpha():
        return {}
    term, orders = vocabulary.c.term, vocabulary.c.orders
    likely = func.similarity(term, word) + LIKE_PRIOR * func.ln(orders)
    swapped = term.in_(_swapped(word))  # a short word has hardly a trigram in common with itself once two are swapped
    as_long = func.char_length(term).between(len(word) - edits_max, len(word) + edits_max)
    query = select(term, orders).where(or_(term.bool_op("%")(word), swapped), as_long)
    query = query.order_by(swapped.desc(), likely.desc(), term)
    rows = await at.rows(query.limit(LIKE_COMPARED_MAX))
    by_edits = sorted((edits_between(word, row["term"]), -row["orders"], row["term"]) for row in rows)
    return {term: -orders for edits, orders, term in by_edits[:LIKE_MAX] if edits == by_edits[0][0] <= edits_max}


def _swapped(word: str) -> Sequence[str]:
    """The words that differ in two neighbouring letters having changed places."""
    return [f"{word[:i]}{word[i + 1]}{word[i]}{word[i + 2 :]}" for i in range(len(word) - 1)]


async def _sampled(at: Snapshot, meaning: Meaning) -> int:
    """How many of the newest orders have it."""
    by_time = (TEXTS.c.created_at.desc(), TEXTS.c.order_id.desc())
    newest = select(TEXTS.c.document).order_by(*by_time).limit(SAMPLE).subquery()
    found = await at.rows(select(func.count().label("found")).where(meaning.has(newest.c.document)))
    return int(found[0]["found"]) if found else 0


def edits_between(one: str, other: str) -> int:
    """How many letters to insert, drop, replace or swap with their neighbour (optimal string alignment)."""
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
