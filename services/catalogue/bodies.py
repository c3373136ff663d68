"""Request bodies of the catalogue, derived from the contract."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from services.contracts.catalogue import PRICES_MAX, Price, ProductFields
from services.kit.domain.amounts import Exact
from services.kit.domain.currencies import KnownCurrency
from services.kit.domain.instants import KnownInstant
from services.kit.domain.message import Sku
from services.kit.domain.texts import Line

__all__ = ["EXAMPLE", "ImportedProduct", "ProductBody", "ProductPatch"]

EXAMPLE: JsonDict = {
    "name": "Mug",
    "description": "A mug for tea or coffee.",
    "tax_class": "standard",
    "weight_grams": 350,
    "prices": [
        {"currency": "GBP", "amount": "4.50"},
        {
            "currency": "GBP",
            "amount": "3.60",
            "compare_at": "4.50",
            "valid_from": "2026-11-27T00:00:00Z",
            "valid_until": "2026-12-01T00:00:00Z",
        },
        {"currency": "EUR", "amount": "5.40"},
    ],
}


class ProductPrice(Price):
    """The price of one unit. Of several prices that are valid, the one with the latest `valid_from` counts."""

    currency: KnownCurrency
    amount: Annotated[Decimal, Exact] = Field(ge=0, max_digits=15, decimal_places=6)
    valid_from: KnownInstant | None = Field(default=None, description="null: it was always valid.")
    valid_until: KnownInstant | None = Field(default=None, description="From then on it is not valid. null: no end.")
    compare_at: Annotated[Decimal, Exact] | None = Field(
        default=None, ge=0, max_digits=15, decimal_places=6, description="The higher price that a shop shows beside it."
    )


if TYPE_CHECKING:
    AnyPrice = Price  # what the validator returns
else:
    AnyPrice = Annotated[ProductPrice, AfterValidator(Price.of)]


class ProductBody(ProductFields):
    """A product with all its prices."""

    # not deferred as in a message: Pydantic warns when FastAPI has to build the model
    model_config = ConfigDict(defer_build=False, json_schema_extra={"examples": [EXAMPLE]})
    name: Line
    description: Annotated[str, StringConstraints(max_length=5_000)] | None = Field(
        default=None, description="A text that may have several lines."
    )
    active: bool = Field(default=True, strict=True, description="Whether customers see the product and can order it.")
    weight_grams: int | None = Field(default=None, ge=0, le=1_000_000_000, strict=True)
    prices: tuple[AnyPrice, ...] = Field(default=(), max_length=PRICES_MAX)


def _as_patch(schema: dict[str, Any]) -> None:
    """Describe a body of which at least one field is there, whichever: an absent one keeps its value."""
    schema["minProperties"] = 1
    schema.pop("required", None)
    schema["examples"] = [{"prices": EXAMPLE["prices"]}]
    for field in schema["properties"].values():
        field.pop("default", None)


class ProductPatch(ProductBody):
    """The fields of a product to change; null removes a description or a weight, `prices` replaces all prices."""

    model_config = ConfigDict(json_schema_extra=_as_patch)
    name: Line = ""

    @property
    def changes(self) -> dict[str, object]:
        """The fields that the request has, with their values."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ImportedProduct(ProductBody):
    """A product with all its prices and its sku."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"sku": "MUG", **EXAMPLE}]})
    sku: Sku
