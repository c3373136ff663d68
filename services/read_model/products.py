"""The tables of the view `products`: the products of the shop as they are now, and every change of their prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.read_model.table import About, Count, Document, Flag, Id, Instant, Number, Table, Text

__all__ = ["PRICE_CHANGES", "PRODUCTS", "PRODUCT_TERMS", "PriceChange", "Product", "ProductTerm"]


@dataclass(frozen=True, slots=True)
class Product:
    """A product as it is now; `metadata` and `prices` are JSON texts, `document` has the terms that searches find."""

    sku: Annotated[Id, About("The `product_id` of order lines.", example="MUG")]
    name: Text
    description: Text | None
    active: Annotated[Flag, About("Whether customers see the product and can order it.")]
    withdrawn: Annotated[Flag, About("Whether the shop does not sell the product any more.")]
    tax_class: Annotated[Text, About(example="standard")]
    weight_grams: Count | None
    backorder: Annotated[Text, About(one_of=("deny", "allow"))]
    metadata: Annotated[Text, About(answered="")]
    prices: Annotated[Text, About(answered="")]
    document: Annotated[Document, About(answered="")]
    version: Annotated[Number, About("The version for `If-Match`.")]
    created_at: Annotated[Instant, About("When the product was defined for the first time.")]
    updated_at: Instant


@dataclass(frozen=True, slots=True)
class PriceChange:
    """All prices of a product from one change of them to the next, as a JSON text."""

    sku: Annotated[Id, About(answered="")]
    version: Annotated[Number, About("The version of the product with these prices.")]
    changed_at: Instant
    prices: Annotated[Text, About(answered="")]


@dataclass(frozen=True, slots=True)
class ProductTerm:
    """How many products have a term, and how many of those customers see; a term that no product has has no row."""

    term: Id
    products: Count
    seen: Count


PRODUCTS = Table(
    "products", "products", Product, ("sku",),
    indexes={
        "products_by_name": "(name, sku)",
        "products_by_time": "(created_at, sku)",
        "products_by_update": "(updated_at, sku)",
        "products_by_term": "USING gin (document)",
    },
)  # fmt: skip
PRICE_CHANGES = Table("products", "price_changes", PriceChange, ("sku", "version"))
PRODUCT_TERMS = Table(
    "products", "product_terms", ProductTerm, ("term",),
    indexes={"product_terms_by_likeness": "USING gin (term public.gin_trgm_ops)"},
    storage="fillfactor = 70",
)  # fmt: skip
