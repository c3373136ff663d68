"""What a file of sales lines looks like: which column is what, and what its codes mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["COUNTRY_CODES", "ONLINE_RETAIL", "Shape"]

COUNTRY_CODES: Mapping[str, str] = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Channel Islands": "JE",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "European Community": "EU",  # reserved for it in ISO 3166-1
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "RSA": "ZA",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
    "Unspecified": "GB",  # the shop's own country
}
"""ISO 3166-1 alpha-2 codes of the names in the file; any other two capital letters stand for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Where to find what in a CSV file with one line per sold product, in time order."""

    invoice: str
    product: str
    description: str
    quantity: str
    at: str
    unit_price: str
    customer: str
    country: str
    at_format: str
    currency: str
    goods_code: str
    """Regular expression that a product code matches as a whole if it is goods."""
    cancellation_prefix: str
    adjustment_prefix: str
    countries: Mapping[str, str] = field(default_factory=lambda: COUNTRY_CODES)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that must be there."""
        return (
            self.invoice, self.product, self.description, self.quantity,
            self.at, self.unit_price, self.customer, self.country,
        )  # fmt: skip


ONLINE_RETAIL = Shape(
    invoice="InvoiceNo",
    product="StockCode",
    description="Description",
    quantity="Quantity",
    at="InvoiceDate",
    unit_price="UnitPrice",
    customer="CustomerID",
    country="Country",
    at_format="%Y-%m-%d %H:%M:%S",
    currency="GBP",
    goods_code=r"[0-9]{5}[A-Za-z]{0,2}",
    cancellation_prefix="C",
    adjustment_prefix="A",
)
"""The UCI Online Retail set. No goods: POST, DOT, M, D, S, B, C2, BANK CHARGES, AMAZONFEE, CRUK, PADS, gifts, DCGS*."""
