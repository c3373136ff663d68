"""The answers to the commands of the catalogue."""

from __future__ import annotations

from typing import NotRequired

from typing_extensions import TypedDict

from services.kit.rest.answers import Count, FieldProblem, PositionText, Positive

__all__ = ["ProductImport", "ProductStored", "RefusedProduct"]


class ProductStored(TypedDict):
    """The catalogue has the product as the request describes it; `GET /products/{sku}` shows it."""

    sku: str


class RefusedProduct(TypedDict):
    """Why a product was refused (RFC 9457)."""

    line: Positive
    """The line of a CSV file, of which the header is line 1, or the number of the element in JSON, from 1."""
    sku: NotRequired[str]
    """The sku in the request, if it could be read."""
    status: int
    type: str
    title: str
    code: str
    """Stable; for programs."""
    detail: str
    """For people."""
    errors: NotRequired[list[FieldProblem]]


class ProductImport(TypedDict):
    """The results of an upload: how many products changed, and why each other line was refused."""

    created: Count
    """Products that are new, or were withdrawn before."""
    changed: Count
    unchanged: Count
    refused: list[RefusedProduct]
    """The products that were refused, in the order of the request."""
    position: NotRequired[PositionText]
    """The position of the last product that is stored. A query with this `position` sees them all."""
