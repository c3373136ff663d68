"""What the columns of files of sales mean: a TOML file, one of ours by its name or anybody's by its path."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

__all__ = ["DEFAULT", "BadMappingError", "End", "Join", "Mapping", "built_in", "load", "placeholders"]

MAPPINGS = Path(__file__).parent / "mappings"
DEFAULT = "online-retail"
ISO = "iso"
EXCEL = "excel"
PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
MADE = frozenset({"customer", "order"})
"""What a template can name besides columns and the groups of `address.parts`."""

End = Literal["confirmed", "cancelled", "dispatched", "delivered"]
"""How far an order is taken."""


class BadMappingError(Exception):
    """The mapping cannot be used; says which key is wrong."""


class Part(BaseModel):
    """A table of the file: no key that nobody reads, nothing of another type than it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone is called {name!r} here (such as Europe/London)") from error
    return name


def _codec(name: str) -> str:
    try:
        "".encode(name)
    except LookupError as error:
        raise ValueError(f"no encoding is called {name!r}") from error
    return name


def _time_format(text: str) -> str:
    if "%Z" in text:  # strptime takes a name such as UTC and then forgets it
        raise ValueError("%Z reads no zone: write its name as it stands in the times, and say it as `zone`")
    return text


Column = Annotated[str, Field(min_length=1)]
TimeFormat = Annotated[str, Field(min_length=1), AfterValidator(_time_format)]
Zone = Annotated[str, AfterValidator(_zone)]
Codec = Annotated[str, AfterValidator(_codec)]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Templates = tuple[str, ...]
"""Texts with {column} in them: the first whose columns are all filled is taken."""


class Lines(Part):
    """The columns of a sold product."""

    order: Column
    product: Column
    quantity: Column
    unit_price: Column | None = None
    line_total: Column | None = None
    """Of all units together, where the file has no price of one; what was taken off is off it already."""
    discount: Column | None = None
    discount_is: Literal["share", "amount"] = "amount"
    """What the discount is: a share of the price (0.15), or what is taken off the line in all."""
    currency: Column | None = None
    """Where it is empty, the mapping's own."""
    at: Column
    product_name: Column | None = None
    goods: re.Pattern[str] | None = None
    """Matches a product's code as a whole if it is goods; everything is, without it."""
    adjustment_prefix: str = ""
    """Of invoices that are neither orders nor credit notes."""

    @model_validator(mode="after")
    def _one_price(self) -> Self:
        if (self.unit_price is None) == (self.line_total is None):
            raise ValueError("one of unit_price and line_total must be said, and not both")
        if self.discount and self.line_total:
            raise ValueError("a discount is taken off a unit_price; a line_total is what is left")
        return self


class Customers(Part):
    """Who orders; without an id somebody is a guest."""

    id: Column | None = None
    id_suffix: str = ""
    """Cut off the id, as the .0 of a number that went through a spreadsheet."""
    name: Templates = ()
    email: Templates = ()


class Parts(Part):
    """What is taken out of one column by the named groups of a pattern that matches it as a whole."""

    column: Column
    pattern: re.Pattern[str]


class Address(Part):
    """Where the goods go."""

    line1: Templates
    city: Templates
    region: Templates = ()
    postal_code: Templates = ()
    country: Column | None = None
    countries: Table[str, CountryCode] = {}
    """ISO 3166-1 alpha-2 codes of what the column says; two capital letters stand for themselves."""
    default_country: CountryCode | None = None
    """Where the column is empty, or there is none."""
    parts: Parts | None = None

    @model_validator(mode="after")
    def _some_country(self) -> Self:
        if self.country is None and self.default_country is None:
            raise ValueError("country (a column) or default_country must be said")
        return self


class Cancellations(Part):
    """Invoices that are credit notes: their number begins so, and their quantities are negative."""

    prefix: Annotated[str, Field(min_length=1)]


class Becomes(Part):
    """How far an order is taken, by what a column says; what the column says and this does not is reported."""

    column: Column
    becomes: Table[str, End]


class Join(Part):
    """A file that has more columns for a line, found by the value of one that both have."""

    file: str
    key: Column
    optional: bool = False
    """Whether a line without it is a line all the same."""


class Files(Part):
    """The files of a folder that are joined."""

    lines: str
    join: tuple[Join, ...] = ()


class Stock(Part):
    """Levels of a file of the folder: what was `there` before the orders, or what is `left` after them."""

    file: str
    product: Column
    units: Column
    means: Literal["there", "left"]


class Mapping(Part):
    """What a file, or a folder of files, of sold products looks like."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9\-]{0,40}$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    zone: Zone
    time_format: TimeFormat
    """As strptime takes it, `iso` for ISO 8601 with any number of decimals, `excel` for a spreadsheet's day numbers."""
    decimal_mark: Literal[".", ","] = "."
    encoding: Codec = "utf-8"
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    empty: tuple[str, ...] = ()
    """Texts that stand for an empty field, as NULL in what databases write."""
    lines: Lines
    customers: Customers = Customers()
    address: Address
    cancellations: Cancellations | None = None
    states: Becomes | None = None
    shipments: Becomes | None = None
    files: Files | None = None
    stock: Stock | None = None

    @property
    def columns(self) -> Table[str, str]:
        """Every column that a line must have, by the key that asks for it."""
        lines = (
            "order",
            "product",
            "quantity",
            "unit_price",
            "line_total",
            "discount",
            "currency",
            "at",
            "product_name",
        )
        asked: dict[str, str | None] = {
            **{f"lines.{key}": getattr(self.lines, key) for key in lines},
            "address.country": self.address.country,
            "customers.id": self.customers.id,
            "address.parts.column": self.address.parts and self.address.parts.column,
            "states.column": self.states and self.states.column,
            "shipments.column": self.shipments and self.shipments.column,
        }
        return {**{key: column for key, column in asked.items() if column}, **self._in_templates()}

    def _in_templates(self) -> dict[str, str]:
        known = MADE | set(self.address.parts.pattern.groupindex if self.address.parts else ())
        customers, address = self.customers, self.address
        templates = {
            "customers.name": customers.name,
            "customers.email": customers.email,
            **{f"address.{key}": getattr(address, key) for key in ("line1", "city", "region", "postal_code")},
        }
        return {
            f"{key} {{{column}}}": column
            for key, texts in templates.items()
            for text in texts
            for column in placeholders(text)
            if column not in known
        }


def placeholders(template: str) -> list[str]:
    """What a template names."""
    return PLACEHOLDER.findall(template)


def built_in() -> list[str]:
    """The names of the mappings that we bring."""
    return sorted(file.stem for file in MAPPINGS.glob("*.toml"))


def load(name: str = DEFAULT) -> Mapping:
    """A mapping by its name or path; BadMappingError says what is wrong with it, and where."""
    file = MAPPINGS / f"{name}.toml" if name in built_in() else Path(name)
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        ours = ", ".join(built_in())
        raise BadMappingError(f"mapping {name}: {error.strerror or error}; ours are {ours}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMappingError(f"mapping {name} is no TOML: {error}") from error
    try:
        return Mapping.model_validate(content)
    except ValidationError as error:
        raise BadMappingError(f"mapping {name}: {'; '.join(_faults(error))}") from error


def _faults(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, fault['loc'])) or 'as a whole'}: {_said(fault['msg'])}" for fault in error.errors()]


def _said(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Extra inputs are not permitted", "nobody reads this key")
