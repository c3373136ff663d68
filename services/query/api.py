"""Reading orders and stock over REST."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.encoders import jsonable_encoder

from services.kit.access import ORDERS_ADMIN, Caller, needs
from services.kit.errors import FieldError, Forbidden, Invalid, NotFound
from services.kit.instants import Rfc3339
from services.kit.log import POSITION_PATTERN, Position
from services.kit.rest import json_router
from services.query.reading import SORTS, OrderFilter, Page, Reading

__all__ = ["router"]

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 100
PAGE_MAX = 100_000

VIEWS_READ = ("orders", "stock")
"""What answers here are made of; whoever brings a position is told what all of them know of it."""
VIEWS_OF_ONE_ORDER = (*VIEWS_READ, "timeline")

PRINTABLE = r"^[ -~]+$"
"""What ids are made of; Postgres cannot even be asked for some of the rest."""

Id = Annotated[str, Path(max_length=64, pattern=PRINTABLE)]
IdFilter = Annotated[str | None, Query(max_length=64, pattern=PRINTABLE)]
Status = Literal[
    "draft", "pending", "processing", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "failed"
]
PageNumber = Annotated[int, Query(ge=1, le=PAGE_MAX)]
PageSize = Annotated[int, Query(ge=1, le=PAGE_SIZE_MAX)]
ReadsOrders = Annotated[Caller, needs("orders:read")]
Token = Annotated[str | None, Query(alias="position", pattern=POSITION_PATTERN)]


def router(reading: Reading) -> APIRouter:
    """The routes of query."""
    routes = json_router()

    async def level_with(request: Request, token: Token = None) -> None:
        """Refuse unknown parameters; wait until the read side is where the caller has been."""
        _known_only(request)
        if token is not None:
            of_one = "order_id" in request.path_params
            await reading.wait_for(_position(token), VIEWS_OF_ONE_ORDER if of_one else VIEWS_READ)

    ready = [Depends(level_with)]
    stock_ready = [*ready, needs("stock:read")]

    @routes.get("/orders", dependencies=ready)
    async def list_orders(
        caller: ReadsOrders,
        customer_id: IdFilter = None,
        status: Status | None = None,
        created_from: Annotated[Rfc3339 | None, Query(alias="from")] = None,
        created_to: Annotated[Rfc3339 | None, Query(alias="to")] = None,
        product_id: IdFilter = None,
        sort: Annotated[str, Query(max_length=40)] = "-created_at",
        page: PageNumber = 1,
        page_size: PageSize = PAGE_SIZE_DEFAULT,
    ) -> Any:
        customer_id = _within_reach(caller, customer_id)
        wanted = OrderFilter(customer_id, status, created_from, created_to, product_id)
        if wanted.created_from and wanted.created_to and wanted.created_from >= wanted.created_to:
            raise _wrong("from", "from must be before to")
        name, descending = _sort(sort)
        found = await reading.orders(wanted, name, descending=descending, page=page, page_size=page_size)
        return _page("orders", found, page, page_size)

    @routes.get("/orders/{order_id}", dependencies=ready)
    async def read_order(order_id: Id, caller: ReadsOrders) -> Any:
        order = await reading.order(order_id)
        if not caller.may_reach(order["customer_id"]):
            raise NotFound("order-not-found", "there is no such order")
        if caller.own is not None:
            order["timeline"] = [{**moment, "by": None} for moment in order["timeline"]]  # who runs the shop is its own
        return jsonable_encoder(order)

    @routes.get("/customers/{customer_id}/orders", dependencies=ready)
    async def orders_of_customer(
        customer_id: Id, caller: ReadsOrders, page: PageNumber = 1, page_size: PageSize = PAGE_SIZE_DEFAULT
    ) -> Any:
        if not caller.may_reach(customer_id):
            raise NotFound("customer-not-found", "there is no such customer")
        wanted = OrderFilter(customer_id=customer_id)
        found = await reading.orders(wanted, "created_at", descending=True, page=page, page_size=page_size)
        return _page("orders", found, page, page_size)

    @routes.get("/stock", dependencies=stock_ready)
    async def list_stock(low_stock: bool = False, page: PageNumber = 1, page_size: PageSize = PAGE_SIZE_DEFAULT) -> Any:
        found = await reading.stock(low_only=low_stock, page=page, page_size=page_size)
        return _page("stock", found, page, page_size)

    @routes.get("/stock/{product_id}", dependencies=stock_ready)
    async def read_level(product_id: Id) -> Any:
        return jsonable_encoder(await reading.level(product_id))

    return routes


def _within_reach(caller: Caller, customer_id: str | None) -> str | None:
    """Whose orders to look for; Forbidden if they are somebody else's."""
    if caller.own is None or customer_id == caller.own:
        return customer_id
    if customer_id is not None:
        raise Forbidden(ORDERS_ADMIN)
    return caller.own


def _page(name: str, found: Page, page: int, page_size: int) -> Any:
    pages = -(-found.total // page_size)
    shown = {name: found.rows, "total": found.total, "page": page, "page_size": page_size, "total_pages": pages}
    return jsonable_encoder(shown)


def _known_only(request: Request) -> None:
    route = request.scope["route"]
    known = {parameter.alias for parameter in route.dependant.query_params} | {"position"}
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise Invalid(
            "unknown-parameter",
            f"unknown: {', '.join(unknown)}",
            tuple(FieldError(name, "unknown", "there is no such parameter") for name in unknown),
        )


def _sort(text: str) -> tuple[str, bool]:
    name = text.removeprefix("-")
    if name not in SORTS:
        raise _wrong("sort", f"sort by one of {', '.join(SORTS)}, with - in front for descending")
    return name, text.startswith("-")


def _position(token: str) -> Position:
    try:
        return Position.parse(token)
    except ValueError as error:
        raise _wrong("position", "this is not a position that we gave") from error


def _wrong(field: str, detail: str) -> Invalid:
    return Invalid("bad-parameter", detail, (FieldError(field, "invalid", detail),))
