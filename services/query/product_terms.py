"""The terms that a search for products looks for: the beginnings of words, or similar words if no product has them.

A caller who does not see every product gets corrections from the words of products that customers see, so that a
correction does not tell what the shop is going to sell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Subquery, Text, cast, false, func, select, true
from sqlalchemy.dialects.postgresql import TSQUERY

from services.query.search_terms import CORRECTED_MAX, LAST_CHARACTER, STOP_WORDS, WORDS_MAX, similar_terms
from services.query.snapshots import Snapshot
from services.query.sums import unnested
from services.query.tables import PRODUCT_TERMS
from services.read_model.terms import terms

__all__ = ["ProductSearch", "product_search"]

TERMS_SINCE = 2
"""The revision of the view `products` that brought its terms."""
RARE_MAX = 15_000
"""Products with the rarest word, up to which they are read from the index of terms and not along the sort."""
BEGUN_MAX = 200
"""Up to this many terms that a word begins are searched by name: the planner overrates a beginning, and would read all
products to find few."""


@dataclass(frozen=True, slots=True)
class ProductSearch:
    """What a search looks for: for each word the terms that match it, or None for all that it begins.

    All words must match. `instead` has the words that no product has, with the similar words that are searched in their
    place. `is_rare` says that few products have one of the words, so that reading them first is the fastest way.
    """

    words: Mapping[str, Sequence[str] | None]
    instead: Mapping[str, Sequence[str]] = field(default_factory=dict[str, "Sequence[str]"])
    is_rare: bool = False

    def match(self, document: ColumnElement[object]) -> ColumnElement[bool]:
        """The condition that a document has all words."""
        if not all(found or found is None for found in self.words.values()):
            return false()
        groups = [f"'{word}':*" if found is None else _any_of(found) for word, found in self.words.items()]
        return document.bool_op("@@")(cast(" & ".join(groups), TSQUERY))

    @property
    def ranked(self) -> ColumnElement[object]:
        """A tsquery for ranks, in which one beginning stands for all terms; terms hold no operator."""
        groups = [_any_of(self.instead[word]) if word in self.instead else f"'{word}':*" for word in self.words]
        return cast(" & ".join(groups), TSQUERY)


def _any_of(found: Sequence[str]) -> str:
    return "(" + " | ".join(f"'{term}'" for term in found) + ")"


async def product_search(at: Snapshot, text: str, *, for_staff: bool) -> ProductSearch:
    """Return the terms that find a text; English stop words count only if there is no other word."""
    words = list(dict.fromkeys(term.word for term in terms(text)))
    words = ([word for word in words if word not in STOP_WORDS] or words)[:WORDS_MAX]
    if not at.has("products", TERMS_SINCE):
        return ProductSearch(dict.fromkeys(words))
    vocabulary = _vocabulary(for_staff=for_staff)
    begun = await _begun(at, vocabulary, words)
    instead: dict[str, Sequence[str]] = {}
    for word in [word for word, found in begun.items() if found == {}][:CORRECTED_MAX]:
        if similar := await similar_terms(at, vocabulary, word):
            begun[word], instead[word] = similar, list(similar)
    rarest = min((sum(found.values()) for found in begun.values() if found is not None), default=RARE_MAX + 1)
    listed = {word: None if found is None else list(found) for word, found in begun.items()}
    return ProductSearch(listed, instead, rarest <= RARE_MAX)


def _vocabulary(*, for_staff: bool) -> Subquery:
    """The terms of the products that the caller sees, in the form of the vocabulary of orders."""
    products = PRODUCT_TERMS.c.products if for_staff else PRODUCT_TERMS.c.seen
    return select(PRODUCT_TERMS.c.term, products.label("orders")).where(products > 0).subquery()


async def _begun(at: Snapshot, vocabulary: Subquery, words: Sequence[str]) -> dict[str, Mapping[str, int] | None]:
    """By word the terms that it begins, itself included, with their products; None if they are more than BEGUN_MAX."""
    wanted, term = unnested("wanted", word=(Text(), words)), vocabulary.c.term
    within = (term >= wanted.c.word, term < func.concat(wanted.c.word, LAST_CHARACTER))
    found = select(term, vocabulary.c.orders).where(*within).limit(BEGUN_MAX + 1).lateral()
    by_word: dict[str, dict[str, int]] = {word: {} for word in words}
    query = select(wanted.c.word, found.c.term, found.c.orders).join_from(wanted, found, true())
    for row in await at.rows(query):
        by_word[row["word"]][row["term"]] = row["orders"]
    return {word: None if len(terms) > BEGUN_MAX else terms for word, terms in by_word.items()}
