"""Computes the expected totals of a replay from the file and the faults alone.

It reads the file (in the columns of UCI Online Retail) with code of its own, so that a mistake in the importer, a
service or the read side shows as a difference.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from tools.demo.arithmetic import pennies, shares, tax_in
from tools.importer.faults import Fault, fault_of, is_short

__all__ = ["Amount", "Expected", "expected_totals"]

Amount = int | Decimal
_Row = Mapping[str, str]

GOODS = r"[0-9]{5}[A-Za-z]{0,2}"
COUNTRIES = {"United Kingdom": "GB", "Unspecified": "GB", "EIRE": "IE", "Germany": "DE", "France": "FR"}
"""The words of the file for the countries in which the shop of the demo has taxes."""
NOT_CHARGED = {Fault.CARD_DECLINED, Fault.CAPTURE_DECLINED, Fault.NOT_SERVED}
REFUNDED = {Fault.CARRIER_REFUSES}


@dataclass(frozen=True, slots=True)
class Expected:
    """The totals by name, and the remaining quantity of each product."""

    totals: Mapping[str, Amount]
    on_hand: Mapping[str, int]


@dataclass(slots=True)
class _Sale:
    number: int
    total: Decimal
    units: Counter[str]
    uncredited: Counter[str]
    money: Decimal
    """What no credit note gave back."""
    cheapest: Mapping[str, Decimal]
    prices: Sequence[tuple[str, Decimal]]
    """The code and the price of each line."""
    tax: Decimal
    """The tax in the total."""
    untouched: bool = True
    status: str = "confirmed"
    refunded: bool = False


@dataclass(slots=True)
class _Account:
    sales: dict[str, _Sale] = field(default_factory=lambda: dict[str, _Sale]())
    refused_cancellations: int = 0


def expected_totals(
    file: Path,
    orders_max: int | None,
    *,
    faults: bool = True,
    people: bool = False,
    tax_percent: Mapping[str, Decimal] | None = None,
) -> Expected:
    """The totals after a replay of the first `orders_max` orders and the cancellations among them.

    With `people`, every customer who is not a guest has an account. Prices include the tax of `tax_percent`.
    """
    account = _Account()
    by_customer: dict[str, list[str]] = {}
    for number, rows in _by_invoice(file).items():
        customer = rows[0]["CustomerID"].removesuffix(".0")
        if number.startswith("C"):
            _cancel(account, by_customer.get(customer, []) if customer else [], rows)
        elif not number.startswith("A"):
            sale = _sale(len(account.sales) + 1, rows, tax_percent or {})
            if sale is None:
                continue
            if len(account.sales) == orders_max:
                break
            account.sales[number] = sale
            by_customer.setdefault(customer, []).append(number)
            if faults:
                _apply_fault(sale)
    accounts = len(set(filter(None, by_customer))) if people else 0
    return Expected({**_totals(account), **_accounts(accounts)}, _left(account, faults=faults))


def _by_invoice(file: Path) -> dict[str, list[_Row]]:
    opened = gzip.open if file.suffix == ".gz" else open
    invoices: dict[str, list[_Row]] = {}
    with opened(file, "rt", encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text):
            invoices.setdefault(row["InvoiceNo"], []).append(row)
    return invoices


def _sale(number: int, rows: Sequence[_Row], tax_percent: Mapping[str, Decimal]) -> _Sale | None:
    good = [
        row
        for row in rows
        if re.fullmatch(GOODS, row["StockCode"]) and int(row["Quantity"]) > 0 and Decimal(row["UnitPrice"]) > 0
    ]
    units, cheapest = Counter[str](), dict[str, Decimal]()
    exact = Decimal(0)
    for row in good:
        units[row["StockCode"]] += int(row["Quantity"])
        price = Decimal(row["UnitPrice"])
        exact += int(row["Quantity"]) * price
        cheapest[row["StockCode"]] = min(price, cheapest.get(row["StockCode"], price))
    total = pennies(exact)
    if not total:
        return None
    prices = [(row["StockCode"], Decimal(row["UnitPrice"])) for row in good]
    percent = tax_percent.get(COUNTRIES.get(rows[0]["Country"], ""), Decimal(0))
    lines = shares(total, [int(row["Quantity"]) * Decimal(row["UnitPrice"]) for row in good])
    tax = sum((tax_in(line, percent) for line in lines), Decimal(0))
    return _Sale(number, total, units, units.copy(), exact, cheapest, prices, tax)


def _apply_fault(sale: _Sale) -> None:
    fault = fault_of(sale.number)
    if fault in NOT_CHARGED or any(is_short(product) for product in sale.units):
        sale.status = "failed"
    elif fault in REFUNDED:
        sale.status, sale.refunded = "failed", True


def _cancel(account: _Account, earlier: Sequence[str], rows: Sequence[_Row]) -> None:
    """Credit a note to the likeliest order, which is cancelled when all of its money is given back."""
    units, money = Counter[str](), dict[str, Decimal]()
    for row in rows:
        if re.fullmatch(GOODS, row["StockCode"]):
            code, quantity = row["StockCode"], int(row["Quantity"])
            units[code] -= quantity
            money[code] = money.get(code, Decimal(0)) - quantity * Decimal(row["UnitPrice"])
    given_back = sum(money.values(), Decimal(0))
    if min(units.values(), default=0) < 0 or not +units or given_back <= 0:
        return
    units = +units
    newest_first = [account.sales[number] for number in reversed(earlier)]
    alike = [sale for sale in newest_first if +sale.uncredited == units]
    exact = [sale for sale in alike if pennies(sale.money - given_back) == 0]
    untouched = [sale for sale in exact if sale.untouched]
    more = [sale for sale in newest_first if sale.uncredited >= units and pennies(sale.money - given_back) >= 0]
    for sale in [*untouched, *exact, *alike, *more][:1]:
        sale.money, sale.untouched = sale.money - given_back, False
        if pennies(sale.money) > 0:
            full = [code for code in units if pennies(money[code]) >= pennies(units[code] * sale.cheapest[code])]
            sale.uncredited.subtract({code: units[code] for code in full})
            continue
        sale.uncredited.clear()
        if sale.status == "confirmed":
            sale.status, sale.refunded = "cancelled", True
        else:
            account.refused_cancellations += 1


def _totals(account: _Account) -> dict[str, Amount]:
    by_status = Counter(sale.status for sale in account.sales.values())
    kept = sum((sale.total for sale in account.sales.values() if sale.status == "confirmed"), Decimal(0))
    refunded = sum((sale.total for sale in account.sales.values() if sale.refunded), Decimal(0))
    tax = sum((sale.tax for sale in account.sales.values() if sale.status == "confirmed"), Decimal(0))
    return {
        "orders placed": len(account.sales),
        "orders confirmed": by_status["confirmed"],
        "orders cancelled": by_status["cancelled"],
        "orders failed": by_status["failed"],
        "orders unfinished": 0,
        "orders edited": 0,
        "cancellations refused": account.refused_cancellations,
        "value ordered": sum((sale.total for sale in account.sales.values()), Decimal(0)),
        "value confirmed": kept,
        "money captured": kept + refunded,
        "money refunded": refunded,
        "money still held": Decimal(0),
        "units shipped": sum(sale.units.total() for sale in account.sales.values() if sale.status == "confirmed"),
        "units still held": 0,
        **_priced(account),
        "products with a wrong level": 0,
        "confirmation mails": by_status["confirmed"] + by_status["cancelled"],
        "cancellation mails": by_status["cancelled"],
        "failure mails": by_status["failed"],
        "refund mails": 0,
        "review mails": 0,
        "other mails": 0,
        "sales: gross": kept,
        "sales: discount": Decimal(0),
        "sales: shipping": Decimal(0),
        "sales: tax": tax,
        "sales: net": kept - tax,
        "sales: refunded": refunded,
        "sales: revenue": kept,
        "dead letters": 0,
    }


def _priced(account: _Account) -> dict[str, Amount]:
    """The products of all orders, and the lines that have the price of the first line of their product."""
    lines = [line for sale in account.sales.values() for line in sale.prices]
    first = dict(reversed(lines))
    return {"products": len(first), "lines at the shop's price": sum(first[code] == price for code, price in lines)}


def _accounts(number: int) -> dict[str, Amount]:
    return {"accounts activated": number, "verification mails": number, "activation mails": number}


def _left(account: _Account, *, faults: bool) -> dict[str, int]:
    wanted: dict[str, list[int]] = {}
    gone: Counter[str] = Counter()
    for sale in account.sales.values():
        for product, units in sale.units.items():
            wanted.setdefault(product, []).append(units)
        if sale.status == "confirmed":
            gone.update(sale.units)
    return {
        product: min(units) - 1 if faults and is_short(product) else sum(units) - gone[product]
        for product, units in wanted.items()
    }
