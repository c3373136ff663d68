"""The rules of a product: it is defined, changed, withdrawn, and may be defined again; every event carries it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from services.contracts.catalogue import Product, ProductChanged, ProductDefined, ProductMessage, ProductWithdrawn
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import Message

__all__ = ["PRODUCT", "Change", "Define", "Listed", "NoProduct", "ProductCommand", "Withdraw", "Withdrawn"]

# States


@dataclass(frozen=True, slots=True)
class NoProduct:
    """There was never a product with this sku."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The product is in the catalogue."""

    product: Product
    version: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """The shop does not sell the product any more."""

    product: Product
    version: int


ProductState = NoProduct | Listed | Withdrawn

# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class Define(Command):
    """Set the whole product; with `only_new`, leave a product alone that exists or existed."""

    product: Product
    only_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Command):
    """Set some fields of a product to new values."""

    sku: str
    changes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Command):
    """Take the product out of the catalogue; its history stays."""

    sku: str


ProductCommand = Define | Change | Withdraw


def decide(command: ProductCommand, state: ProductState) -> Decision:
    """The event of a command; none if the product is so already."""
    match command, state:
        case Define(product=product), NoProduct():
            return _recorded(ProductDefined, product, 1)
        case Define(only_new=True), Listed() | Withdrawn():
            return []
        case Define(product=product), Withdrawn(version=version):
            return _recorded(ProductDefined, product, version + 1)
        case Define(product=product), Listed():
            return _changed(product, state)
        case Change(changes=changes), Listed(product=product):
            return _changed(product.model_copy(update=changes), state)
        case Change(sku=sku), Withdrawn():
            detail = f"Product {sku} is withdrawn. Define it again with PUT before you change it."
            return Rejected("product-withdrawn", detail)
        case Withdraw(), Listed(product=product, version=version):
            withdrawn = product.model_copy(update={"active": False})
            return [ProductWithdrawn.of(withdrawn, version=version + 1)]
        case Withdraw(), Withdrawn():
            return []
        case Change(sku=sku) | Withdraw(sku=sku), NoProduct():
            return Rejected("product-not-found", f"Product {sku} does not exist. Define it with PUT.", missing=True)
        case _:
            assert_never((command, state))


def _changed(product: Product, listed: Listed) -> Decision:
    return [] if product == listed.product else _recorded(ProductChanged, product, listed.version + 1)


def _recorded(kind: type[ProductMessage], product: Product, version: int) -> Decision:
    return price_problem(product) or [kind.of(product, version=version)]


def price_problem(product: Product) -> Rejected | None:
    """Why the prices of a product cannot stand beside each other; None if they can."""
    seen: set[tuple[object, ...]] = set()
    for number, price in enumerate(product.prices):
        place, beginning = f"prices.{number}", (price.currency, price.valid_from)
        if price.valid_from and price.valid_until and price.valid_until <= price.valid_from:
            return Rejected("ends-before-it-begins", "The price ends before it begins.", field=f"{place}.valid_until")
        if price.compare_at is not None and price.compare_at <= price.amount:
            detail = "The price to compare with must be above the price. Leave it out if the price is not reduced."
            return Rejected("compare-at-too-low", detail, field=f"{place}.compare_at")
        if beginning in seen:
            detail = f"Two prices in {price.currency} begin at the same time. Leave one of them out."
            return Rejected("repeated-price", detail, field=f"{place}.valid_from")
        seen.add(beginning)
    return None


def evolve(state: ProductState, event: Message) -> ProductState:
    """The product after an event."""
    match event:
        case ProductWithdrawn(version=version):
            return Withdrawn(Product.of(event), version)
        case ProductMessage(version=version):
            return Listed(Product.of(event), version)
        case _:
            return state


PRODUCT: Decider[ProductCommand, ProductState] = Decider(
    "product", NoProduct(), decide, evolve, (ProductDefined, ProductChanged, ProductWithdrawn), opens=(Define,)
)
