"""The orders and cancellations of a file, read each time so that any length fits, and the stock that they need."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import cast

from tools.importer.catalogue import Listing, Offer, Offers
from tools.importer.faults import Fault, fault_of, is_short
from tools.importer.join import read_joined
from tools.importer.mapping import Mapping as Meaning
from tools.importer.mapping import load
from tools.importer.order_reader import OrderReader
from tools.importer.records import Amount, Cancellation, Customer, Line, Order, ReportRow, Tally
from tools.importer.rows import BadFileError, Row, must_have, read_file, split_cells
from tools.importer.stock import StockLevel, levels_of

__all__ = ["SLICE", "OrderSource", "Placement", "Scan", "names_prices", "order_body", "survey"]

SLICE = Path(__file__).parent / "data" / "online_retail_slice.csv.gz"
NOT_SERVED_COUNTRY = "ZZ"
Report = Callable[[ReportRow], None]


@dataclass(frozen=True, slots=True)
class Placement:
    """One order to place, its number in the run, and the fault to provoke."""

    number: int
    order: Order
    fault: Fault

    @property
    def invoice(self) -> str:
        """The number of the invoice."""
        return self.order.invoice

    @property
    def line(self) -> int:
        """The first line in the file."""
        return self.order.line

    @property
    def amount(self) -> Amount:
        """What the lines of the order come to, as in the control totals."""
        return Amount(self.order.goods, self.order.currency)

    @property
    def at(self) -> datetime:
        """The time of the order."""
        return self.order.at


@dataclass(frozen=True, slots=True)
class OrderSource:
    """The first `orders_max` orders of a file (all if None), and the cancellations among them."""

    file: Path
    orders_max: int | None = None
    mapping: Meaning = field(default_factory=load)
    faults: bool = True
    finished: bool = False
    """Whether the orders ended elsewhere and keep all amounts of the file."""

    @property
    def lines_file(self) -> str:
        """The name of the file with the order lines."""
        return self.mapping.files.lines if self.mapping.files else self.file.name

    def steps(self, tally: Tally | None = None, report: Report | None = None) -> Iterator[Placement | Cancellation]:
        """Orders and cancellations in time order; `tally` and `report` are filled while the file is read."""
        importer = OrderReader(self.mapping, tally, report, finished=self.finished)
        number = 0
        with self._rows(importer) as rows:
            for found in importer.read(rows):
                if isinstance(found, Cancellation):
                    yield found
                    continue
                if number == self.orders_max:
                    importer.uncount(found)
                    return
                number += 1
                yield Placement(number, found, fault_of(number) if self.faults else Fault.NONE)

    @contextmanager
    def _rows(self, importer: OrderReader) -> Generator[Iterator[Row]]:
        if self.mapping.files is not None:
            with read_joined(self.file, self.mapping, self.mapping.files, importer.refuse) as rows:
                yield split_cells(rows, self.mapping.lines.cell)
            return
        if self.file.is_dir():
            raise BadFileError(f"{self.file} is a folder, and the mapping {self.mapping.name} is for one file.")
        with read_file(self.file, self.mapping) as (header, rows):
            must_have(self.file.name, header, self.mapping.columns)
            yield split_cells(rows, self.mapping.lines.cell)


@dataclass(frozen=True, slots=True)
class Scan:
    """The result of a first reading: number of orders, products, stock levels and, if wanted, the customers."""

    orders: int
    offers: tuple[Offer, ...]
    shelves: tuple[StockLevel, ...]
    customers: tuple[Customer, ...]


def survey(plan: OrderSource, look: Callable[[Order], None] = lambda _: None, *, customers: bool = False) -> Scan:
    """Read the file once; `look` gets each order.

    Stock is exactly what all orders need, and too little of a product that is to be short.
    """
    offers, needs, found, orders = Offers(), _Needs(), dict[str, Customer](), 0
    for step in plan.steps():
        if isinstance(step, Cancellation):
            continue
        orders += 1
        look(step.order)
        offers.add(step.order)
        needs.add(step.order)
        if customers and step.order.customer.id:
            found.setdefault(step.order.customer.id, step.order.customer)
    levels = levels_of(plan.file, plan.mapping)
    return Scan(orders, tuple(offers.by_product.values()), tuple(needs.shelves(plan, levels)), tuple(found.values()))


class _Needs:
    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._wanted: dict[str, int] = {}
        self._smallest: dict[str, int] = {}

    def add(self, order: Order) -> None:
        for line in order.lines:
            self._names.setdefault(line.product_id, line.product_name)
        for product_id, units in order.wanted.items():
            self._wanted[product_id] = self._wanted.get(product_id, 0) + units
            self._smallest[product_id] = min(self._smallest.get(product_id, units), units)

    def shelves(self, plan: OrderSource, levels: Mapping[str, int]) -> Iterator[StockLevel]:
        stock = plan.mapping.stock
        for product_id in sorted({*levels, *self._wanted}):
            units = levels.get(product_id, 0)
            if stock is None or stock.means == "left":
                units += self._wanted.get(product_id, 0)
            if plan.faults and is_short(product_id):
                units = self._smallest.get(product_id, 1) - 1
            yield StockLevel(product_id, self._names.get(product_id), units)


def order_body(
    placement: Placement, user_id: str | None = None, *, dated: bool = False, listing: Listing | None = None
) -> Mapping[str, object]:
    """The body of POST /orders; `user_id` is that of the customer's account, if there is one.

    `dated` adds the time of the order, which only staff may set. Lines name the names and prices that differ from
    `listing`.
    """
    order, fault = placement.order, placement.fault
    customer = order.customer
    return {
        **({"customer_id": user_id or f"cus_{customer.id}"} if customer.id else {}),
        **({"email": customer.email} if customer.email else {}),
        "customer_name": customer.name,
        "items": [_item(line, order.currency, listing or {}) for line in order.lines],
        "shipping_address": _address(order, fault),
        "payment_method": {"kind": "card", "token": fault.token},
        "notes": order.notes or f"invoice {order.invoice}",
        "expected_total": {"amount": f"{order.total:f}", "currency": order.currency},
        **({"placed_at": order.at.isoformat()} if dated else {}),
    }


def _item(line: Line, currency: str, listing: Listing) -> dict[str, object]:
    listed = listing.get((line.product_id, currency))
    own_name = {} if listed and listed.name == line.product_name else {"product_name": line.product_name}
    price = {"amount": f"{line.unit_price:f}", "currency": currency}
    own_price = {} if listed and listed.price == line.unit_price else {"unit_price": price}
    more = _discount_and_tax(line, currency)
    return {"product_id": line.product_id, **own_name, "quantity": line.quantity, **own_price, **more}


def _discount_and_tax(line: Line, currency: str) -> dict[str, object]:
    found: dict[str, object] = {}
    if line.off:
        found["discount"] = {"amount": {"amount": f"{line.off:f}", "currency": currency}}
    elif line.off_percent:
        found["discount"] = {"percent": f"{line.off_percent:f}"}
    if line.tax:
        found["tax"] = {"amount": f"{line.tax:f}", "currency": currency}
    elif line.tax_rate:
        found["tax_rate"] = f"{line.tax_rate:f}"
    return found


def names_prices(body: Mapping[str, object]) -> bool:
    """Whether a body names what only an importer may name."""
    items = cast("list[dict[str, object]]", body["items"])
    return any("product_name" in item or "unit_price" in item for item in items)


def _address(order: Order, fault: Fault) -> dict[str, str]:
    place = order.place
    more = {"region": place.region, "postal_code": place.postal_code}
    return {
        "name": order.customer.name,
        "line1": f"{place.line1}{fault.address_mark}",
        "city": place.city,
        **{key: text for key, text in more.items() if text},
        "country": NOT_SERVED_COUNTRY if fault is Fault.NOT_SERVED else place.country,
    }
