"""Reading orders and stock over REST."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import Forbidden, NotFound
from services.kit.rest.app import json_router
from services.kit.rest.params import level_with, wrong
from services.query.answers import LEVEL, LEVELS, ORDER, ORDERS
from services.query.filters import OrderFilter
from services.query.finding import RELEVANCE
from services.query.listing import NEWEST_FIRST
from services.query.paging import Page, Window
from services.query.parameters import (
    CustomerFilter,
    CustomerId,
    OrderId,
    ProductId,
    SortText,
    StockText,
    order_filter,
    sort_of,
    window,
)
from services.query.reading import Reading, StockFilter
from services.query.sheets import Sheet, csv_wanted
from services.read_model.orders import ORDERS as ORDER_TABLE

__all__ = ["router"]

VIEWS_READ = ("orders", "stock")
"""What answers here are made of; whoever brings a position is told what all of them know of it."""
VIEWS_OF_ONE_ORDER = (*VIEWS_READ, "timeline")
NOT_IN_CSV = ("page", "page_size", "cursor", "count")

ReadsOrders = Annotated[Caller, needs("orders:read")]
Wanted = Annotated[OrderFilter, Depends(order_filter)]
Part = Annotated[Window, Depends(window)]
LowStock = Annotated[
    bool, Query(description="Only products of which less is available than `low_below`.", examples=[True])
]


def router(reading: Reading) -> APIRouter:
    """The routes of query."""
    routes = json_router()

    async def listed(request: Request, wanted: OrderFilter, sort: str | None, part: Window) -> Response:
        if csv_wanted(request.headers.get("accept", "")):
            every = reading.every_order(wanted, _sort_in_csv(request, wanted, sort))
            return await Sheet.of(every, ORDER_TABLE.names, filename="orders.csv")
        found = await reading.orders(wanted, sort_of(sort, wanted), part)
        shown = _page("orders", found, part)
        return _answer(shown if wanted.text is None else {**shown, "instead": found.instead}, Vary="Accept")

    ready = [level_with(partial(reading.wait_for, views=VIEWS_READ))]
    ready_for_one = [level_with(partial(reading.wait_for, views=VIEWS_OF_ONE_ORDER))]
    stock_ready = [*ready, needs("stock:read")]

    @routes.get("/orders", dependencies=ready, responses=ORDERS)
    async def list_orders(
        request: Request,
        caller: ReadsOrders,
        wanted: Wanted,
        part: Part,
        customer_id: CustomerFilter = None,
        sort: SortText = None,
    ) -> Any:
        """The caller's orders, or with `orders:admin` everybody's: those that fit all filters, by pages or as CSV."""
        whose = _within_reach(caller, customer_id)
        return await listed(request, replace(wanted, customer_id=whose), sort, part)

    @routes.get("/orders/{order_id}", dependencies=ready_for_one, responses=ORDER)
    async def read_order(order_id: OrderId, caller: ReadsOrders) -> Any:
        """An order of the caller's own, or with `orders:admin` any, with its lines and all that happened to it."""
        order = await reading.order(order_id, caller.own)
        if caller.own is not None:
            order["timeline"] = [{**moment, "by": None} for moment in order["timeline"]]  # who runs the shop is its own
        return _answer(order)

    @routes.get("/customers/{customer_id}/orders", dependencies=ready, responses=ORDERS)
    async def orders_of_customer(
        customer_id: CustomerId,
        request: Request,
        caller: ReadsOrders,
        wanted: Wanted,
        part: Part,
        sort: SortText = None,
    ) -> Any:
        """The orders of one customer, as `GET /orders` has them; refused if that is somebody else."""
        if not caller.may_reach(customer_id):
            raise NotFound("customer-not-found", "there is no such customer")
        return await listed(request, replace(wanted, customer_id=customer_id), sort, part)

    @routes.get("/stock", dependencies=stock_ready, responses=LEVELS)
    async def list_stock(part: Part, low_stock: LowStock = False, q: StockText = None) -> Any:
        """How much there is of each product, by id, page by page."""
        return _answer(_page("stock", await reading.stock(StockFilter(low_stock, q), part), part))

    @routes.get("/stock/{product_id}", dependencies=stock_ready, responses=LEVEL)
    async def read_level(product_id: ProductId) -> Any:
        """How much there is of one product; refused if it was never counted."""
        return _answer(await reading.level(product_id))

    return routes


def _within_reach(caller: Caller, customer_id: str | None) -> str | None:
    """Whose orders to look for; Forbidden if they are somebody else's."""
    if caller.own is None or customer_id == caller.own:
        return customer_id
    if customer_id is not None:
        raise Forbidden(ORDERS_ADMIN)
    return caller.own


def _page(name: str, found: Page, part: Window) -> dict[str, Any]:
    shown: dict[str, Any] = {name: found.rows, "page_size": part.page_size, "next_cursor": found.cursor}
    if part.cursor is None:
        shown["page"] = part.page
    if found.counted is not None:
        shown["total"] = found.counted.total
        shown["total_relation"] = "exact" if found.counted.exact else "at_least"
        shown["total_pages"] = -(-found.counted.total // part.page_size)
    return shown


def _answer(content: object, **headers: str) -> Response:
    """As JSON, written here: FastAPI's encoder looks at each of a page's thousand values in Python."""
    text = json.dumps(content, default=datetime.isoformat, ensure_ascii=False, separators=(",", ":"))
    return Response(text, headers=headers, media_type="application/json")


def _sort_in_csv(request: Request, wanted: OrderFilter, sort: str | None) -> str:
    """The sort of an export, which has no pages and no rank."""
    for name in NOT_IN_CSV:
        if name in request.query_params:
            raise wrong(name, "CSV has the whole list, not a page of it")
    chosen = sort_of(NEWEST_FIRST if sort is None else sort, wanted)
    if chosen.removeprefix("-") == RELEVANCE:
        raise wrong("sort", "CSV has all orders that match, and not all are ranked")
    return chosen
