"""The parameters of lists, as clients write them and as the OpenAPI document shows them."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from fastapi import Query, Request
from pydantic import StringConstraints

from services.kit.domain.instants import Rfc3339
from services.kit.domain.texts import ONE_LINE
from services.kit.rest.params import PRINTABLE, id_in_path, wrong
from services.query.filters import OrderFilter
from services.query.lists import NEWEST_FIRST, SORTS
from services.query.paging import COUNTED_MAX, Count, Window
from services.query.search import RANKED_MAX, RELEVANCE
from services.query.search_terms import TEXT_CHARS_MAX, WORDS_MAX
from services.read_model.terms import terms

__all__ = [
    "CustomerFilter",
    "CustomerId",
    "OrderId",
    "ProductId",
    "SortText",
    "StockText",
    "order_filter",
    "sort_of",
    "window",
]

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
STATUSES_MAX = 9
CURSOR_CHARS_MAX = 400
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
STOCK_TEXT_CHARS_MAX = 100
NUMBER_CHARS_MAX = 100
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"

Status = Literal[
    "draft", "pending", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"
]
OrderId = Annotated[str, id_in_path("The id of the order.", "ord_iwc61wrq2spsmypx929bhj947yw")]
CustomerId = Annotated[str, id_in_path("The id of the customer.", "usr_01jd8xk3v5e6s7t8w9x0y1z2a3")]
ProductId = Annotated[str, id_in_path("The id of the product.", "85123A")]
CustomerFilter = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Orders of this customer.", examples=["usr_01jd8x"]),
]
Statuses = Annotated[
    list[Status] | None,
    Query(
        min_length=1,
        max_length=STATUSES_MAX,
        description="Orders with this status; several times for any of several: `status=shipped&status=delivered`.",
        examples=[["shipped", "delivered"]],
    ),
]
From = Annotated[
    Rfc3339 | None,
    Query(
        alias="from",
        description="Orders placed at this instant or later (RFC 3339).",
        examples=["2026-11-01T00:00:00Z"],
    ),
]
To = Annotated[
    Rfc3339 | None,
    Query(
        alias="to",
        description="Orders placed before this instant; it must be after `from`.",
        examples=["2026-12-01T00:00:00Z"],
    ),
]
TotalMin = Annotated[
    str | None,
    Query(pattern=AMOUNT, description="Orders whose total is this amount or more.", examples=["10.00"]),
]
TotalMax = Annotated[
    str | None,
    Query(
        pattern=AMOUNT,
        description="Orders whose total is this amount or less, in any currency unless `currency` names one.",
        examples=["250"],
    ),
]
Currency = Annotated[
    str | None, Query(pattern="^[A-Z]{3}$", description="Orders in this currency (ISO 4217).", examples=["GBP"])
]
Country = Annotated[
    str | None,
    Query(pattern="^[A-Z]{2}$", description="Orders that go to this country (ISO 3166-1 alpha-2).", examples=["GB"]),
]
Product = Annotated[
    str | None,
    Query(max_length=64, pattern=PRINTABLE, description="Orders with a line of this product.", examples=["85123A"]),
]
Source = Annotated[
    str | None,
    Query(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$",
        description="Orders that were imported from this system.",
        examples=["old-shop"],
    ),
]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=NUMBER_CHARS_MAX, strip_whitespace=True, pattern=ONE_LINE)
]
Number = Annotated[
    Word | None,
    Query(
        description="Orders that had this number where they come from, in any system unless `source` names one.",
        examples=["536365"],
    ),
]
SearchText = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=TEXT_CHARS_MAX,
        description=(
            "Words to look for in the customer's name, the goods' names, the city and the number of an imported order; "
            "all must be there. Case, accents and punctuation do not count, typing errors are forgiven, and the last "
            "word may be the beginning of one. "
            f"The first {WORDS_MAX} different words count, and English words such as `of` only if there is no other. "
            f"By relevance the newest {RANKED_MAX:,} orders that match are ranked; sorted otherwise the list has all."
        ),
        examples=["white hanging heart"],
    ),
]
SortText = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=40,
        description=(
            f"One of {', '.join(SORTS)}, and {RELEVANCE} where there is `q`; `-` in front for descending. Ties go by "
            f"the time of placing and the order's id. Without it: `-{RELEVANCE}` where there is `q`, else "
            f"`{NEWEST_FIRST}`."
        ),
        examples=["-total"],
    ),
]
PageNumber = Annotated[
    int,
    Query(
        ge=1,
        le=COUNTED_MAX,
        description=f"Which page, from 1; it may reach to row {COUNTED_MAX:,}. To go on from there use `cursor`.",
        examples=[2],
    ),
]
PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX, description="Rows of a page.", examples=[50])]
CursorText = Annotated[
    str | None,
    Query(
        max_length=CURSOR_CHARS_MAX,
        pattern=CURSOR_PATTERN,
        description=(
            "`next_cursor` of the page before, with the same filters and sort, and instead of `page`. A page of any "
            "depth takes the same time; rows are not counted on it."
        ),
        examples=["WyI0ZjUzY2RhMThjMmJhYTBjIl0"],
    ),
]
CountHow = Annotated[
    Count,
    Query(
        description=(
            f"How `total` is counted: `bounded` to {COUNTED_MAX:,} rows ({RANKED_MAX:,} with `q`) and beyond them "
            "`total_relation` is `at_least`; `exact`, however long it takes; or `none`."
        ),
        examples=["exact"],
    ),
]
StockText = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=STOCK_TEXT_CHARS_MAX,
        pattern=r"^[^\x00]+$",
        description="Products with each of these words in name or id, anywhere in them.",
        examples=["heart holder"],
    ),
]


# what a route depends on is `async` here: else FastAPI has it done in a thread, which costs more than all it does
async def order_filter(
    status: Statuses = None,
    created_from: From = None,
    created_to: To = None,
    total_min: TotalMin = None,
    total_max: TotalMax = None,
    currency: Currency = None,
    country: Country = None,
    product_id: Product = None,
    source: Source = None,
    number: Number = None,
    q: SearchText = None,
) -> OrderFilter:
    """Which orders; Invalid if a range ends before it begins."""
    least, most = (None if each is None else Decimal(each) for each in (total_min, total_max))
    if created_from and created_to and created_from >= created_to:
        raise wrong("from", "from must be before to")
    if least is not None and most is not None and least > most:
        raise wrong("total_min", "total_min must not be above total_max")
    if q is not None and not terms(q):
        raise wrong("q", "there is no word in it to look for")
    statuses = tuple(sorted(set(status or ())))
    return OrderFilter(
        None, statuses, created_from, created_to, least, most, currency, country, product_id, q, source, number
    )


async def window(
    request: Request,
    page: PageNumber = 1,
    page_size: PageSize = PAGE_SIZE_DEFAULT,
    cursor: CursorText = None,
    count: CountHow = "bounded",
) -> Window:
    """Which part of a list; Invalid if it is too far in, or said twice."""
    if cursor is not None and "page" in request.query_params:
        raise wrong("page", "a page is named by cursor or by number")
    if cursor is not None and count != "bounded":
        raise wrong("count", "rows are counted on pages that are named by number")
    if (page - 1) * page_size >= COUNTED_MAX:
        raise wrong("page", f"pages reach to row {COUNTED_MAX:,}; go on by next_cursor")
    return Window(page, page_size, cursor, count)


def sort_of(text: str | None, asked: OrderFilter) -> str:
    """The sort, with its default; Invalid if there is no such one."""
    if text is None:
        return NEWEST_FIRST if asked.text is None else f"-{RELEVANCE}"
    if text.removeprefix("-") not in (*SORTS, RELEVANCE):
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, {RELEVANCE}, with - in front for descending")
    if asked.text is None and text.removeprefix("-") == RELEVANCE:
        raise wrong("sort", "there is a relevance only where there is a text to look for (q)")
    return text
