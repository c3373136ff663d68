"""REST routes of query: orders and stock levels."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, NamedTuple, cast
from zoneinfo import ZoneInfo

from fastapi import Depends, Request

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import Forbidden, NotFound
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import at_position, in_query, wrong
from services.query.answers import OrderPage, StockLevel, StockPage
from services.query.csv_export import CSV, VARY, CsvExport, csv_wanted
from services.query.lists import NEWEST_FIRST, OrderFilter
from services.query.paging import Page, PageRequest
from services.query.parameters import (
    CustomerFilter,
    CustomerId,
    LinesWanted,
    OrderId,
    ProductId,
    SortText,
    StockText,
    Zone,
    order_filter,
    page_request,
    sort_of,
)
from services.query.queries import LINE_COLUMNS, Queries, StockFilter
from services.query.search import RELEVANCE
from services.read_model.order_answers import Order
from services.read_model.orders import ORDERS

__all__ = ["page_body", "routes"]

routes = json_router()

VIEWS = ("orders", "stock")
"""The views that a `position` waits for, so that one rule holds for every list."""
LISTS: dict[str, Any] = {
    "dependencies": [at_position(Queries, *VIEWS)],
    "responses": {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
}
ME = "me"
NOT_IN_CSV = ("page", "page_size", "cursor", "count")

ReadsOrders = Annotated[Caller, needs("orders:read")]
ReadModel = Annotated[Queries, provided(Queries)]
Filter = Annotated[OrderFilter, Depends(order_filter)]
PageOf = Annotated[PageRequest, Depends(page_request)]
LowStock = Annotated[bool, in_query("Only products with less available than their `low_below`.", True)]


@routes.get("/orders", **LISTS)
async def list_orders(
    request: Request,
    caller: ReadsOrders,
    queries: ReadModel,
    wanted: Filter,
    page: PageOf,
    zone: Zone,
    customer_id: CustomerFilter = None,
    sort: SortText = None,
    lines: LinesWanted = False,
) -> Answer[OrderPage] | CsvExport:
    """List and search orders.

    Returns the orders that pass all filters: the caller's own, or with the scope `orders:admin` those of everybody.
    Without that scope, the parameter `email` and the `customer_id` of another customer are refused (403).

    With `Accept: text/csv` the answer is the whole list; with `lines=true` it has a row for each line of each order.
    Its times are in the zone `time_zone`. Parameters of pages and `sort=relevance` are then refused (422). A cell that
    a spreadsheet would take for a formula starts with an apostrophe.
    """
    found = replace(wanted, customer_id=_within_reach(caller, customer_id))
    return await _list(request, caller, queries, found, Options(sort, lines, zone), page)


@routes.get("/orders/{order_id}", dependencies=[at_position(Queries, *VIEWS, "timeline")])
async def read_order(order_id: OrderId, caller: ReadsOrders, queries: ReadModel) -> Answer[Order]:
    """Read an order.

    Returns an order with its lines and its timeline. Refused (404) if the order does not exist, or if it belongs to
    another customer and the caller does not have the scope `orders:admin`.
    """
    return Answer(await queries.order(order_id, caller.own))


@routes.get("/customers/{customer_id}/orders", **LISTS)
async def orders_of_customer(
    customer_id: CustomerId,
    request: Request,
    caller: ReadsOrders,
    queries: ReadModel,
    wanted: Filter,
    page: PageOf,
    zone: Zone,
    sort: SortText = None,
    lines: LinesWanted = False,
) -> Answer[OrderPage] | CsvExport:
    """List a customer's orders.

    Returns the orders of one customer with the same filters, sorts and CSV as `GET /orders`; `me` is the caller.
    Refused (404) if the customer is not the caller and the caller does not have the scope `orders:admin`.
    """
    customer_id = caller.subject if customer_id == ME else customer_id
    if not caller.may_reach(customer_id):
        raise NotFound(
            "customer-not-found", "There is no such customer, or this token may not read the customer's orders."
        )
    found = replace(wanted, customer_id=customer_id)
    return await _list(request, caller, queries, found, Options(sort, lines, zone), page)


@routes.get("/stock", dependencies=[at_position(Queries, *VIEWS), needs("stock:read")])
async def list_stock(
    queries: ReadModel, page: PageOf, low_stock: LowStock = False, q: StockText = None
) -> Answer[StockPage]:
    """List stock levels.

    Returns the stock level of each product, sorted by product id. A product is listed once its stock was set.
    """
    found = await queries.stock(StockFilter(low_stock, q), page)
    return Answer(cast("StockPage", page_body("stock", found, page)))


@routes.get("/stock/{product_id}", dependencies=[at_position(Queries, *VIEWS), needs("stock:read")])
async def read_level(product_id: ProductId, queries: ReadModel) -> Answer[StockLevel]:
    """Read a stock level.

    Returns how many units of a product are on hand, held for orders and available. Refused (404) if the stock of the
    product was never set: set it with `PUT /stock/{product_id}`.
    """
    return Answer(cast("StockLevel", await queries.stock_level(product_id)))


class Options(NamedTuple):
    """How a list is sorted, and in CSV whether it has lines and in which zone its times are."""

    sort: str | None
    lines: bool
    zone: ZoneInfo


async def _list(
    request: Request, caller: Caller, queries: Queries, wanted: OrderFilter, options: Options, page: PageRequest
) -> Answer[OrderPage] | CsvExport:
    if wanted.email is not None and caller.own is not None:
        raise Forbidden(ORDERS_ADMIN)
    if csv_wanted(request.headers.get("accept", "")):
        columns = [*ORDERS.names, *(column.name for column in LINE_COLUMNS if options.lines)]
        rows = queries.every_order(wanted, _sort_in_csv(request, wanted, options.sort), lines=options.lines)
        name = "order-lines.csv" if options.lines else "orders.csv"
        return await CsvExport.start(rows, columns, filename=name, zone=options.zone)
    if options.lines:
        raise wrong("lines", "only CSV has a row for each line: send Accept: text/csv, or read one order")
    found = await queries.orders(wanted, sort_of(options.sort, wanted), page)
    body = page_body("orders", found, page)
    if wanted.text is not None:
        body["instead"] = found.instead
    return Answer(cast("OrderPage", body), headers=VARY)


def _within_reach(caller: Caller, customer_id: str | None) -> str | None:
    """The customer whose orders are listed, None for everybody's; Forbidden if the caller may not read them."""
    if caller.own is None or customer_id == caller.own:
        return customer_id
    if customer_id is not None:
        raise Forbidden(ORDERS_ADMIN)
    return caller.own


def page_body(name: str, found: Page, request: PageRequest) -> dict[str, Any]:
    body: dict[str, Any] = {name: found.rows, "page_size": request.page_size, "next_cursor": found.cursor}
    if request.cursor is None:
        body["page"] = request.page
    if found.total is not None:
        body["total"] = found.total.rows
        body["total_relation"] = "exact" if found.total.exact else "at_least"
        body["total_pages"] = -(-found.total.rows // request.page_size)
    return body


def _sort_in_csv(request: Request, wanted: OrderFilter, sort: str | None) -> str:
    """The sort of an export; Invalid for parameters of pages and for relevance."""
    for name in NOT_IN_CSV:
        if name in request.query_params:
            raise wrong(name, f"CSV has the whole list: leave {name} out")
    chosen = sort_of(NEWEST_FIRST if sort is None else sort, wanted)
    if chosen.removeprefix("-") == RELEVANCE:
        raise wrong("sort", "CSV has all matches, and only some can be ranked: choose another sort")
    return chosen
