"""Small files of sales: some made by hand, and a few of Oracle's orders."""

from __future__ import annotations

import csv
from pathlib import Path

ORACLE_SLICE = Path(__file__).parent.parent / "data" / "oracle-customer-orders"
HEADER = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


def sold(
    invoice: str,
    product: str = "22000",
    quantity: int | str = 1,
    price: str = "1.00",
    *,
    customer: str = "17850.0",
    minute: int = 0,
    name: str = "A THING",
    country: str = "United Kingdom",
) -> tuple[str, ...]:
    at = f"2011-10-10 {9 + minute // 60:02}:{minute % 60:02}:00"
    return (invoice, product, name, str(quantity), at, price, customer, country)


def file_of(folder: Path, *rows: tuple[str, ...], header: tuple[str, ...] = HEADER) -> Path:
    file = folder / "sales.csv"
    with file.open("w", newline="") as text:
        writer = csv.writer(text)
        writer.writerow(header)
        writer.writerows(rows)
    return file
