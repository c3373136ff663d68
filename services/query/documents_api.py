"""REST routes of query: the invoice and the packing slip of an order as PDF."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import tzinfo
from typing import Annotated, Any

from fastapi import Response

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import RuleViolation
from services.kit.rest.app import json_router, provided
from services.kit.rest.limits import limited
from services.kit.rest.params import at_position
from services.query.documents.content import Content, invoice, packing_slip
from services.query.documents.typesetting import Template, Typesetter
from services.query.documents.words import Words, words_in
from services.query.limits import RATES
from services.query.parameters import OrderId
from services.query.queries import Queries
from services.query.settings import QuerySettings, ShopIdentity
from services.read_model.order_answers import Order

__all__ = ["routes"]

routes = json_router()

PDF = "application/pdf"
ReadsOrders = Annotated[Caller, needs("orders:read")]
ReadModel = Annotated[Queries, provided(Queries)]
Own = Annotated[QuerySettings, provided(QuerySettings)]
Setter = Annotated[Typesetter, provided(Typesetter)]
Write = Callable[[Order, ShopIdentity, Words, tzinfo], Content]


class PdfResponse(Response):
    """A PDF that no cache may keep."""

    media_type = PDF


OPTIONS: dict[str, Any] = {
    "response_class": PdfResponse,
    "responses": {
        200: {"description": "The document.", "content": {PDF: {"schema": {"type": "string", "format": "binary"}}}}
    },
    "dependencies": [at_position(Queries, "orders", "timeline"), limited("document", RATES)],
}


@routes.get("/orders/{order_id}/invoice", **OPTIONS)
async def read_invoice(
    order_id: OrderId, caller: ReadsOrders, queries: ReadModel, own: Own, typesetter: Setter
) -> Response:
    """Read an invoice.

    Makes the invoice of an order as PDF: addresses, lines, discounts, taxes by rate, totals and refunds, with the name,
    the address and the tax number of the shop. Before the order is confirmed it is a pro forma invoice. Refused (404)
    if the order does not exist or is not the caller's, (409) for a draft: submit it first, and (501) by an installation
    without the packages that make documents.
    """
    return await _document("invoice", invoice, await queries.order(order_id, caller.own), own, typesetter)


@routes.get("/orders/{order_id}/packing-slip", **OPTIONS)
async def read_packing_slip(
    order_id: OrderId, caller: ReadsOrders, queries: ReadModel, own: Own, typesetter: Setter
) -> Response:
    """Read a packing slip.

    Makes the packing slip of an order as PDF: the address of the parcel, the contact, the customer's notes, and the
    lines without prices. Refused (404) if the order does not exist or is not the caller's, (409) for a draft, and (501)
    by an installation without the packages that make documents.
    """
    return await _document("packing-slip", packing_slip, await queries.order(order_id, caller.own), own, typesetter)


async def _document(
    template: Template, write: Write, order: Order, own: QuerySettings, typesetter: Typesetter
) -> Response:
    shown: dict[str, Any] = {**order}
    if shown["status"] == "draft":
        raise RuleViolation("order-is-draft", f"Order {shown['order_id']} is a draft: submit it first.")
    content = write(order, own.shop, words_in(own.shop.language), own.time_zone)
    number = re.sub(r"[^A-Za-z0-9._-]+", "-", shown["number"] or shown["order_id"])
    pdf = await typesetter.pdf(template, content, shown["country"])
    headers = {"Content-Disposition": f'inline; filename="{template}-{number}.pdf"', "Cache-Control": "no-store"}
    return PdfResponse(pdf, headers=headers)
