"""The search documents of orders: terms of the customer's name, the goods, the city and the number in another system.

A document is a tsvector of our own terms (`services.read_model.terms`), so no dictionary of the server changes it.
Weight A is the name, B the goods, C the city and the number. Gaps between goods make two words of one name rank
higher. The vocabulary holds the number of orders that have each term.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from services.kit.domain.message import ERASED
from services.projection.rows import Rows
from services.read_model.orders import ORDER_TEXTS, VOCABULARY, OrderText, Term
from services.read_model.terms import terms

__all__ = ["refresh"]

GAP_POSITIONS = 8
POSITION_MAX = 16_383
DOCUMENT_BYTES_MAX = 500_000
"""Postgres refuses a tsvector of one megabyte, which would stop the view; searches do not find terms beyond this."""
POSITION_BYTES = 2
TERM_BYTES = 8
NAMES_REMEMBERED_MAX = 20_000

NAMES = (
    "SELECT order_id, product_name FROM {schema}.order_lines WHERE order_id = ANY($1::text[]) ORDER BY order_id, line"
)
ORDERS = (
    "SELECT order_id, created_at, customer_name, city, number FROM {schema}.orders WHERE order_id = ANY($1::text[])"
)
KNOWN = "SELECT order_id, tsvector_to_array(document) FROM {schema}.order_texts WHERE order_id = ANY($1::text[])"
FORGET = "DELETE FROM {schema}.vocabulary WHERE orders = 0 AND term = ANY($1::text[])"


async def refresh(rows: Rows, order_ids: Iterable[str], names: Mapping[str, Sequence[str]]) -> None:
    """Write the documents of these orders, and remove those of orders that are gone.

    `names` holds the goods of orders whose lines were just written.
    """
    wanted = list(order_ids)
    if not wanted:
        return
    orders = await rows.fetch(ORDERS, wanted)
    names = {**names, **await _names(rows, [each for each in wanted if each not in names])}
    documents = {
        row["order_id"]: _document(row["customer_name"], row["city"], row["number"], names.get(row["order_id"], ()))
        for row in orders
    }
    before = {row[0]: set(row[1]) for row in await rows.fetch(KNOWN, wanted)}
    texts = [OrderText(row["order_id"], row["created_at"], _written(documents[row["order_id"]])) for row in orders]
    await rows.put(ORDER_TEXTS, texts)
    await rows.remove(ORDER_TEXTS, [each for each in wanted if each not in documents])
    await _count(rows, [(before.get(each, set[str]()), set(documents.get(each, ()))) for each in wanted])


def _document(
    customer_name: str | None, city: str, number: str | None, product_names: Iterable[str]
) -> Mapping[str, Sequence[str]]:
    """The terms, each with its positions."""
    places: dict[str, list[str]] = defaultdict(list)
    at, room = 1, DOCUMENT_BYTES_MAX
    own = [("A", customer_name or ""), ("C", "" if city == ERASED else city), ("C", number or "")]
    goods = (("B", _words_of_goods(name)) for name in dict.fromkeys(product_names))
    for weight, words in [*((weight, _words(text)) for weight, text in own), *goods]:
        room -= sum(POSITION_BYTES if word in places else len(word.encode()) + TERM_BYTES for word in words)
        if room < 0:
            break
        for word in words:
            places[word].append(f"{min(at, POSITION_MAX)}{weight}")
            at += 1
        at += GAP_POSITIONS
    return places


def _words(text: str) -> Sequence[str]:
    return [term.word for term in terms(text)]


# goods only: names of people must not stay in a cache after an erasure
_words_of_goods = lru_cache(NAMES_REMEMBERED_MAX)(_words)


def _written(document: Mapping[str, Sequence[str]]) -> str:
    return " ".join(f"'{term}':{','.join(places)}" for term, places in document.items())


async def _names(rows: Rows, order_ids: Sequence[str]) -> Mapping[str, Sequence[str]]:
    names: dict[str, list[str]] = defaultdict(list)
    for row in await rows.fetch(NAMES, order_ids) if order_ids else ():
        names[row["order_id"]].append(row["product_name"])
    return names


async def _count(rows: Rows, changes: Iterable[tuple[set[str], set[str]]]) -> None:
    counted: Counter[str] = Counter()
    gone: set[str] = set()
    for before, after in changes:
        counted.update(after - before)
        counted.subtract(before - after)
        gone |= before - after
    await rows.increase(VOCABULARY, [Term(*each) for each in sorted(counted.items()) if each[1]])
    if gone:
        await rows.execute(FORGET, sorted(gone))
