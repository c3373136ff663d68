"""The query parameters of lists, with their descriptions for the OpenAPI document."""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from pydantic import StringConstraints, TypeAdapter

from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.instants import Rfc3339
from services.kit.domain.texts import ONE_LINE
from services.kit.rest.params import PRINTABLE, id_in_path, in_query, wrong
from services.kit.rest.routes import provided
from services.query.lists import NEWEST_FIRST, SORTS, OrderFilter
from services.query.paging import COUNTED_MAX, CountMode, PageRequest
from services.query.search import RANKED_MAX, RELEVANCE
from services.query.search_terms import TEXT_CHARS_MAX, WORDS_MAX
from services.query.settings import QuerySettings
from services.query.zones import midnight, zone_named
from services.read_model.orders import Status
from services.read_model.terms import terms

__all__ = [
    "DAY",
    "Country",
    "Currency",
    "CustomerFilter",
    "CustomerId",
    "LinesWanted",
    "OrderId",
    "ProductId",
    "SortText",
    "Source",
    "StockText",
    "WithProduct",
    "Zone",
    "order_filter",
    "page_request",
    "period_begin",
    "period_end",
    "sort_of",
    "time_range",
]

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
STATUSES_MAX = 10
CURSOR_CHARS_MAX = 2_000
CURSOR_PATTERN = r"^[A-Za-z0-9_-]+$"
STOCK_TEXT_CHARS_MAX = 100
NUMBER_CHARS_MAX = 100
WAITING_MINUTES_MAX = 525_600
AMOUNT = r"^[0-9]{1,12}(\.[0-9]{1,6})?$"
DAY = re.compile(r"\d{4}-\d\d-\d\d")
INSTANT = TypeAdapter[datetime](Rfc3339)


def period_begin(found: str) -> Any:
    """The parameter `from` of `time_range`."""
    text = f"Only {found} on this day or later, or at this instant or later (RFC 3339)."
    return in_query(text, "2026-11-01", alias="from")


def period_end(found: str) -> Any:
    """The parameter `to` of `time_range`."""
    text = f"Only {found} before this day or instant; it must be after `from`."
    return in_query(text, "2026-12-01T00:00:00Z", alias="to")


OrderId = Annotated[str, id_in_path("The id of the order.", "ord_iwc61wrq2spsmypx929bhj947yw")]
CustomerId = Annotated[str, id_in_path("The id of the customer.", "usr_01jd8xk3v5e6s7t8w9x0y1z2a3")]
ProductId = Annotated[str, id_in_path("The id of the product.", "85123A")]
CustomerFilter = Annotated[
    str | None, in_query("Only orders of this customer.", "usr_01jd8x", max_length=64, pattern=PRINTABLE)
]
Statuses = Annotated[
    list[Status] | None,
    in_query(
        "Only orders with this status. Repeat it for several: `status=shipped&status=delivered`.",
        ["shipped", "delivered"],
        min_length=1,
        max_length=STATUSES_MAX,
    ),
]
TimeZone = Annotated[
    str | None,
    in_query(
        "The zone of days, weeks and months, a name of the IANA database. Default: the zone of the shop "
        "(`ZEROCART_TIME_ZONE`), or UTC.",
        "Europe/Berlin",
        alias="time_zone",
        max_length=64,
        pattern="^[A-Za-z0-9_+/-]+$",
    ),
]
From = Annotated[str | None, period_begin("orders placed")]
To = Annotated[str | None, period_end("orders placed")]
TotalMin = Annotated[str | None, in_query("Only orders whose total is this amount or more.", "10.00", pattern=AMOUNT)]
TotalMax = Annotated[
    str | None,
    in_query(
        "Only orders whose total is this amount or less, in any currency unless `currency` is set.",
        "250",
        pattern=AMOUNT,
    ),
]
Currency = Annotated[KnownCurrency | None, in_query("Only orders in this currency (ISO 4217).", "GBP")]
Country = Annotated[
    str | None,
    in_query("Only orders that are delivered to this country (ISO 3166-1 alpha-2).", "GB", pattern="^[A-Z]{2}$"),
]
WithProduct = Annotated[
    str | None, in_query("Only orders with this product.", "85123A", max_length=64, pattern=PRINTABLE)
]
Source = Annotated[
    str | None,
    in_query(
        "Only orders that were imported from this system.", "old-shop", pattern=r"^[A-Za-z0-9][A-Za-z0-9._\-]{0,63}$"
    ),
]
EmailFilter = Annotated[
    str | None,
    in_query(
        "Only orders with this e-mail address; capital letters do not matter. Needs the scope "
        "`orders:admin`. Orders of erased persons have no address.",
        "ann@example.com",
        min_length=3,
        max_length=254,
        pattern=r"^[!-~]+@[!-~]+$",
    ),
]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=NUMBER_CHARS_MAX, strip_whitespace=True, pattern=ONE_LINE)
]
Number = Annotated[
    Word | None,
    in_query(
        "Only the order with this number, and imported orders that have it in the other system; "
        "`source` names one system.",
        "10042",
    ),
]
TagFilter = Annotated[
    str | None, in_query("Only orders with this tag.", "gift", pattern=r"^[a-z0-9][a-z0-9_\-]{0,49}$")
]
Stuck = Annotated[
    bool | None,
    in_query(
        "`true`: only orders whose fulfillment is stuck until an operator resumes it. `false`: only the others.", True
    ),
]
WaitingMinutes = Annotated[
    int | None,
    in_query(
        "Only orders that zerocart still has to move on (`pending`, `processing` or `cancelling`) and "
        "that have not changed for this many minutes. Among them are orders that wait for a capture by hand.",
        60,
        ge=1,
        le=WAITING_MINUTES_MAX,
    ),
]
SearchText = Annotated[
    str | None,
    in_query(
        "Only orders that have all these words in the customer's name, the names of goods, the city or the "
        "number of the order. Case, accents and punctuation do not matter. A word that no order has is "
        "replaced by similar ones (see `instead` in the answer), and the last word may be the beginning of one. "
        f"The first {WORDS_MAX} different words count; English words such as `of` count only if there is no other. "
        f"By relevance the newest {RANKED_MAX:,} matches are ranked; in any other sort the list has all matches.",
        "white hanging heart",
        min_length=1,
        max_length=TEXT_CHARS_MAX,
    ),
]
SortText = Annotated[
    str | None,
    in_query(
        f"Sorts by one of {', '.join(SORTS)}, or with `q` by {RELEVANCE}; `-` in front means descending. Equal "
        f"orders are sorted by the time at which they were placed and their id. Default: `-{RELEVANCE}` with `q`, "
        f"`{NEWEST_FIRST}` without.",
        "-total",
        min_length=1,
        max_length=40,
    ),
]
PageNumber = Annotated[
    int,
    in_query(
        f"The number of the page, from 1, up to row {COUNTED_MAX:,}. For later rows use `cursor`.",
        2,
        ge=1,
        le=COUNTED_MAX,
    ),
]
PageSize = Annotated[int, in_query("Rows in a page.", 50, ge=1, le=PAGE_SIZE_MAX)]
CursorText = Annotated[
    str | None,
    in_query(
        "The `next_cursor` of the page before, with the same filters and sort, instead of `page`. Every page takes "
        "the same time, however far into the list. Its answer has no total.",
        "WyI0ZjUzY2RhMThjMmJhYTBjIl0",
        max_length=CURSOR_CHARS_MAX,
        pattern=CURSOR_PATTERN,
    ),
]
CountParameter = Annotated[
    CountMode,
    in_query(
        f"How `total` is counted. `bounded` counts up to {COUNTED_MAX:,} rows ({RANKED_MAX:,} with `q`); if there "
        "are more, `total_relation` is `at_least`. `exact` counts all rows, which may be slow. `none` counts "
        "nothing.",
        "exact",
    ),
]
LinesWanted = Annotated[bool, in_query("Only for CSV: returns a row for each line of each order.", True, alias="lines")]
StockText = Annotated[
    str | None,
    in_query(
        "Only products whose name or id contains each of these words.",
        "heart holder",
        min_length=1,
        max_length=STOCK_TEXT_CHARS_MAX,
        pattern=r"^[^\x00]+$",
    ),
]


async def _zone(settings: Annotated[QuerySettings, provided(QuerySettings)], name: TimeZone = None) -> ZoneInfo:
    """The zone that the request names, or that of the shop."""
    try:
        return settings.time_zone if name is None else zone_named(name)
    except ValueError as error:
        raise wrong("time_zone", str(error)) from error


Zone = Annotated[ZoneInfo, Depends(_zone)]


# dependencies are async because FastAPI runs others in a thread, which costs more than they do
async def order_filter(
    zone: Zone,
    status: Statuses = None,
    placed_from: From = None,
    placed_to: To = None,
    total_min: TotalMin = None,
    total_max: TotalMax = None,
    currency: Currency = None,
    country: Country = None,
    product_id: WithProduct = None,
    source: Source = None,
    number: Number = None,
    tag: TagFilter = None,
    email: EmailFilter = None,
    stuck: Stuck = None,
    waiting_minutes: WaitingMinutes = None,
    q: SearchText = None,
) -> OrderFilter:
    """The filter; Invalid if a range ends before it begins, or if `q` has no word."""
    least, most = (None if each is None else Decimal(each) for each in (total_min, total_max))
    created_from, created_to = time_range(placed_from, placed_to, zone)
    if least is not None and most is not None and least > most:
        raise wrong("total_min", "total_min must not be above total_max")
    if q is not None and not terms(q):
        raise wrong("q", "q contains no word: write at least one letter, digit or symbol")
    statuses = tuple(sorted(set(status or ())))
    return OrderFilter(
        None, statuses, created_from, created_to, least, most, currency, country, product_id, q, source, number, tag,
        email and email.lower(), stuck, waiting_minutes,
    )  # fmt: skip


def time_range(begin: str | None, end: str | None, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """The instants that `from` and `to` name; Invalid if `from` is not before `to`."""
    found = _instant("from", begin, zone), _instant("to", end, zone)
    if found[0] and found[1] and found[0] >= found[1]:
        raise wrong("from", "from must be before to")
    return found


def _instant(name: str, text: str | None, zone: ZoneInfo) -> datetime | None:
    """The instant that a parameter names, or at which the day begins that it names."""
    if text is None:
        return None
    try:
        return midnight(date.fromisoformat(text), zone) if DAY.fullmatch(text) else INSTANT.validate_python(text)
    except ValueError as error:
        raise wrong(name, "write a day as in 2026-11-23, or an instant as in 2026-11-23T12:00:00Z") from error


async def page_request(
    request: Request,
    page: PageNumber = 1,
    page_size: PageSize = PAGE_SIZE_DEFAULT,
    cursor: CursorText = None,
    count: CountParameter = "bounded",
) -> PageRequest:
    """The requested page; Invalid if its number is too high, or if both number and cursor are given."""
    if cursor is not None and "page" in request.query_params:
        raise wrong("page", "send either page or cursor")
    if cursor is not None and count == "exact":
        raise wrong("count", "pages by cursor have no total: ask for it with the first page")
    if (page - 1) * page_size >= COUNTED_MAX:
        raise wrong("page", f"page numbers reach up to row {COUNTED_MAX:,}: continue with next_cursor")
    return PageRequest(page, page_size, cursor, count)


def sort_of(text: str | None, wanted: OrderFilter) -> str:
    """The sort or its default; Invalid if it does not exist."""
    if text is None:
        return NEWEST_FIRST if wanted.text is None else f"-{RELEVANCE}"
    if text.removeprefix("-") not in (*SORTS, RELEVANCE):
        raise wrong("sort", f"sort by one of {', '.join(SORTS)}, {RELEVANCE}, with - in front for descending")
    if wanted.text is None and text.removeprefix("-") == RELEVANCE:
        raise wrong("sort", f"sort={RELEVANCE} needs q")
    return text
