"""Mappings: TOML files that say what the columns of a file of sales mean, found by name (ours) or by path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from services.kit.domain.countries import KnownCountry
from services.kit.domain.currencies import KnownCurrency

__all__ = [
    "DEFAULT", "PLACEHOLDER", "AmountColumns", "BadMappingError", "Billing", "End", "Join", "Mapping", "Templates",
    "built_in", "load", "placeholders",
]  # fmt: skip

MAPPINGS = Path(__file__).parent / "mappings"
DEFAULT = "online-retail"
ISO = "iso"
EXCEL = "excel"
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
MADE = frozenset({"customer", "order"})
"""Names that a template can use besides columns and the groups of `address.parts`."""

End = Literal["confirmed", "cancelled", "dispatched", "delivered"]
"""The state that an order is to reach."""


class BadMappingError(Exception):
    """The mapping cannot be used; names the key and what it must be."""


class Part(BaseModel):
    """A table of the file; an unknown key and a value of another type are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"there is no time zone {name!r}; write one such as Europe/London") from error
    return name


def _codec(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError(f"there is no encoding {name!r}") from error
    return name


def _time_format(text: str) -> str:
    if "%Z" in text:  # strptime accepts a name such as UTC and ignores it
        raise ValueError("%Z does not read a zone: write the name literally, and set `zone` to it")
    return text


Column = Annotated[str, Field(min_length=1)]
TimeFormat = Annotated[str, Field(min_length=1), AfterValidator(_time_format)]
Zone = Annotated[str, AfterValidator(_zone)]
Codec = Annotated[str, AfterValidator(_codec)]
Templates = tuple[str, ...]
"""Texts with {column} in them: the first whose columns are all filled is used."""


class Cell(Part):
    """A column that holds several goods: each part is a line, and the pattern's named groups are columns of it."""

    column: Column
    separator: Annotated[str, Field(min_length=1)]
    pattern: re.Pattern[str]


class Lines(Part):
    """The columns of an order line."""

    order: Column
    product: Column | tuple[Column, ...]
    """The code of the product; of several columns the first that is filled."""
    quantity: Column | None = None
    """Without it each line is one unit."""
    unit_price: Column | None = None
    line_total: Column | None = None
    """The price of all units where the file has no unit price; before the discount if that has a column."""
    discount: Column | None = None
    discount_is: Literal["share", "amount"] = "amount"
    """Whether the discount is a share of the price (0.15) or an amount off the whole line."""
    tax: Column | None = None
    """The tax of the whole line."""
    tax_rate: Column | None = None
    """The same in percent."""
    currency: Column | None = None
    """Where the column is empty, the mapping's currency applies."""
    at: Column
    product_name: Column | None = None
    goods: re.Pattern[str] | None = None
    """Matches the whole code of a product that is goods; without it every product is."""
    adjustment_prefix: str = ""
    """The prefix of invoices that are neither orders nor credit notes."""
    gifts: bool = False
    """Whether a line whose price is zero is imported."""
    cell: Cell | None = None
    check_total: Column | None = None
    """The total of the order in the file: an order that comes to another one is reported. The first filled counts."""
    tracking_number: Column | None = None
    notes: Templates = ()
    """Texts for the notes of the order, such as those of tags, channel and billing address."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.unit_price is None) == (self.line_total is None):
            raise ValueError("set either unit_price or line_total")
        if self.tax is not None and self.tax_rate is not None:
            raise ValueError("set either tax or tax_rate")
        return self


class Customers(Part):
    """The customer of an order; without an id it is a guest."""

    id: Column | None = None
    id_suffix: str = ""
    """Removed from the end of an id, such as the .0 that spreadsheets add to numbers."""
    id_key: Annotated[str, Field(min_length=16)] | None = None
    """A secret text. With it the id is a hash of the column and of this text, so that the column may be an e-mail."""
    name: Templates = ()
    email: Templates = ()


class Parts(Part):
    """Parts of one column: the named groups of a pattern that matches the whole field."""

    column: Column
    pattern: re.Pattern[str]


class PlaceColumns(Part):
    """The columns of an address."""

    line1: Templates
    city: Templates
    region: Templates = ()
    postal_code: Templates = ()
    country: Column | None = None
    countries: Table[str, KnownCountry] = {}
    """ISO 3166-1 alpha-2 codes by the words of the column; two capital letters stand for themselves."""
    default_country: KnownCountry | None = None
    """Used where the column is empty, or there is none."""


class Address(PlaceColumns):
    """The shipping address."""

    parts: Parts | None = None

    @model_validator(mode="after")
    def _some_country(self) -> Self:
        if self.country is None and self.default_country is None:
            raise ValueError("set country (a column) or default_country")
        return self


class Billing(PlaceColumns):
    """The billing address; an order whose first line does not fill name, line1, city and country has none.

    The words for countries of the shipping address count here, too.
    """

    name: Templates


class OrderFields(Part):
    """More about an order; its first line decides."""

    purchase_order_number: Templates = ()
    shipping_method: Templates = ()
    tags: Column | None = None
    tags_separator: Annotated[str, Field(min_length=1)] = ","
    metadata: Table[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,40}$")], Column] = {}
    """Columns by the names that their texts get."""


class AmountColumns(Part):
    """The columns of an amount of an order: `column` less `less`, once for the order or added up for each line."""

    column: Column
    less: Column | None = None
    each_line: bool = False

    @property
    def columns(self) -> tuple[Column, ...]:
        """Both columns."""
        return (self.column, *((self.less,) if self.less else ()))


class Cancellations(Part):
    """Credit notes: invoices whose number begins with `prefix` and whose quantities are negative."""

    prefix: Annotated[str, Field(min_length=1)]


class Becomes(Part):
    """The state that an order is to reach, by the words of a column; an unknown word is reported."""

    column: Column
    becomes: Table[str, End]


class States(Part):
    """The same for orders, or one state for all of them."""

    column: Column | None = None
    becomes: Table[str, End] = {}
    all: End | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.column is None) == (self.all is None) or bool(self.column) != bool(self.becomes):
            raise ValueError("set column and becomes, or all alone")
        return self


class Join(Part):
    """A file with more columns for a line, found by the value of a column that both have."""

    file: str
    key: Column
    optional: bool = False
    """Whether a line without a row there is imported."""


class Files(Part):
    """The file of lines in a folder, and the files joined to it."""

    lines: str
    join: tuple[Join, ...] = ()


class Stock(Part):
    """A file of stock levels: those before the orders (`there`) or after them (`left`)."""

    file: str
    product: Column
    units: Column
    means: Literal["there", "left"]


class Mapping(Part):
    """The meaning of a file, or of a folder of files, of sales."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,40}$")]
    currency: KnownCurrency
    zone: Zone
    time_format: TimeFormat
    """A format of strptime, `iso` for ISO 8601 with any number of decimals, `excel` for spreadsheets' day numbers."""
    decimal_mark: Literal[".", ","] = "."
    encoding: Codec = "utf-8"
    delimiter: Annotated[str, Field(pattern="^((?s:.)|blanks)$")] = ","
    """One character, or `blanks` where any number of blanks and tabs stands between columns."""
    empty: tuple[str, ...] = ()
    """Texts that stand for an empty field, such as the NULL of databases."""
    lines: Lines
    customers: Customers = Customers()
    address: Address
    cancellations: Cancellations | None = None
    amounts: Table[str, Column | AmountColumns] = {}
    """Columns of the amounts of an order: `discount`, `shipping`, `shipping_tax`, `tax` (all of it) and `refunded`;
    others are only reported."""
    tax_included: bool | None = None
    """Whether the prices and the shipping contain the tax; without it, as the `check_total` of each order says."""
    order: OrderFields = OrderFields()
    billing: Billing | None = None
    states: States | None = None
    shipments: Becomes | None = None
    files: Files | None = None
    stock: Stock | None = None

    @model_validator(mode="after")
    def _one_tax(self) -> Self:
        if "tax" in self.amounts and (self.lines.tax or self.lines.tax_rate):
            raise ValueError("set either amounts.tax (of the order) or the tax of lines")
        return self

    @property
    def columns(self) -> Table[str, str]:
        """Every column that a line must have, by its key in the mapping."""
        lines = (
            "order", "quantity", "unit_price", "line_total", "discount", "tax", "tax_rate", "currency", "at",
            "product_name", "check_total", "tracking_number",
        )  # fmt: skip
        amounts = {
            f"amounts.{name} {column}": column
            for name, of in self.amounts.items()
            if isinstance(of, AmountColumns)
            for column in of.columns
        }
        products = {f"lines.product {column}": column for column in self.products}
        columns: dict[str, str | None] = {
            **{f"lines.{key}": getattr(self.lines, key) for key in lines},
            **(products if len(products) > 1 else {"lines.product": self.products[0]}),
            "lines.cell.column": self.lines.cell and self.lines.cell.column,
            **{f"amounts.{name}": of for name, of in self.amounts.items() if isinstance(of, str)},
            **amounts,
            "order.tags": self.order.tags,
            **{f"order.metadata.{name}": column for name, column in self.order.metadata.items()},
            "billing.country": self.billing and self.billing.country,
            "address.country": self.address.country,
            "customers.id": self.customers.id,
            "address.parts.column": self.address.parts and self.address.parts.column,
            "states.column": self.states and self.states.column,
            "shipments.column": self.shipments and self.shipments.column,
        }
        made = set(self.lines.cell.pattern.groupindex if self.lines.cell else ())
        named = {**{key: column for key, column in columns.items() if column}, **self._in_templates()}
        return {key: column for key, column in named.items() if column not in made}

    @property
    def products(self) -> tuple[str, ...]:
        """The columns of the product, the preferred one first."""
        product = self.lines.product
        return (product,) if isinstance(product, str) else product

    def _in_templates(self) -> dict[str, str]:
        known = MADE | set(self.address.parts.pattern.groupindex if self.address.parts else ())
        customers, address = self.customers, self.address
        templates: dict[str, Templates] = {
            "customers.name": customers.name,
            "customers.email": customers.email,
            "lines.notes": self.lines.notes,
            **{f"address.{key}": getattr(address, key) for key in ("line1", "city", "region", "postal_code")},
            **{f"order.{key}": getattr(self.order, key) for key in ("purchase_order_number", "shipping_method")},
        }
        if self.billing is not None:
            keys = ("name", "line1", "city", "region", "postal_code")
            templates |= {f"billing.{key}": getattr(self.billing, key) for key in keys}
        return {
            f"{key} {{{column}}}": column
            for key, texts in templates.items()
            for text in texts
            for column in placeholders(text)
            if column not in known
        }


def placeholders(template: str) -> list[str]:
    """The names in a template."""
    return PLACEHOLDER.findall(template)


def built_in() -> list[str]:
    """The names of our own mappings."""
    return sorted(file.stem for file in MAPPINGS.glob("*.toml"))


def load(name: str = DEFAULT) -> Mapping:
    """A mapping by name or path; BadMappingError names the wrong key."""
    file = MAPPINGS / f"{name}.toml" if name in built_in() else Path(name)
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        ours = ", ".join(built_in())
        raise BadMappingError(f"mapping {name}: {error.strerror or error}; ours are {ours}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMappingError(f"mapping {name} is not TOML: {error}") from error
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise BadMappingError(f"mapping {name}: {'; '.join(_faults(error))}") from error


def _faults(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, fault['loc'])) or 'as a whole'}: {_said(fault['msg'])}" for fault in error.errors()]


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "there is no such key")
