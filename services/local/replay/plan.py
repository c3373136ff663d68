"""What a replay does, step by step, read from the file each time so that any length fits; and the stock it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.local.replay.importer import Importer, read_rows
from services.local.replay.records import Cancellation, Order, Tally
from services.local.replay.script import Fault, fault_of, is_short
from services.local.replay.shape import ONLINE_RETAIL, Shape

__all__ = ["SLICE", "Placement", "Plan", "Shelf", "customers_of", "email_of", "name_of", "order_body", "shelves_of"]

SLICE = Path(__file__).parent / "data" / "online_retail_slice.csv.gz"
NOT_SERVED_COUNTRY = "ZZ"
STREETS = ("Mill Lane", "Harbour Street", "Station Road", "Orchard Close", "Bridge Walk")


@dataclass(frozen=True, slots=True)
class Placement:
    """The order with this number, and what is to happen to it."""

    number: int
    order: Order
    fault: Fault


@dataclass(frozen=True, slots=True)
class Shelf:
    """How much of a product is there before the first order."""

    product_id: str
    product_name: str
    on_hand: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A replay of the first `orders_max` orders of a file (all if None), and the cancellations among them."""

    file: Path
    orders_max: int | None = None
    shape: Shape = ONLINE_RETAIL
    faults: bool = True

    def steps(self, tally: Tally | None = None) -> Iterator[Placement | Cancellation]:
        """Orders and cancellations in time order; `tally`, if given, is filled as the file is read."""
        importer = Importer(self.shape, tally)
        number = 0
        with read_rows(self.file, self.shape) as rows:
            for found in importer.read(rows):
                if isinstance(found, Cancellation):
                    yield found
                    continue
                if number == self.orders_max:
                    importer.tally.orders -= 1  # read, but not part of this replay
                    importer.tally.lines_taken -= len(found.lines)
                    return
                number += 1
                yield Placement(number, found, fault_of(number) if self.faults else Fault.NONE)


def customers_of(plan: Plan) -> list[str]:
    """Everybody who orders and is no guest, in the order in which they come."""
    orders = (step.order for step in plan.steps() if isinstance(step, Placement))
    return [*dict.fromkeys(order.customer for order in orders if order.customer)]


def shelves_of(plan: Plan) -> list[Shelf]:
    """Exactly what all orders want; of a short product one less than the smallest order wants."""
    names: dict[str, str] = {}
    wanted: dict[str, int] = {}
    smallest: dict[str, int] = {}
    for step in plan.steps():
        if isinstance(step, Cancellation):
            continue
        names |= {line.product_id: line.product_name for line in step.order.lines if line.product_id not in names}
        for product_id, quantity in step.order.wanted.items():
            wanted[product_id] = wanted.get(product_id, 0) + quantity
            smallest[product_id] = min(smallest.get(product_id, quantity), quantity)
    short = {product_id: smallest[product_id] - 1 for product_id in wanted if plan.faults and is_short(product_id)}
    return [Shelf(product_id, names[product_id], units) for product_id, units in sorted((wanted | short).items())]


def order_body(placement: Placement, user_id: str | None = None) -> Mapping[str, object]:
    """The order as POST /orders takes it, of the user with this id if the customer has an account.

    Name, mail address and street are made up from the numbers in the file.
    """
    order, fault = placement.order, placement.fault
    who = f"customer {order.customer}" if order.customer else f"guest {order.invoice}"
    return {
        **({"customer_id": user_id or f"cus_{order.customer}"} if order.customer else {}),
        "email": email_of(who),
        "customer_name": name_of(who),
        "items": [
            {
                "product_id": line.product_id,
                "product_name": line.product_name,
                "quantity": line.quantity,
                "unit_price": {"amount": str(line.unit_price), "currency": order.currency},
            }
            for line in order.lines
        ],
        "shipping_address": _address(order, who, fault),
        "payment_method": {"kind": "card", "token": fault.token},
        "notes": f"invoice {order.invoice}",
        "total": {"amount": str(order.total), "currency": order.currency},
    }


def name_of(who: str) -> str:
    """What somebody is called here who is `customer 123` or `guest 536365`."""
    return who.capitalize()


def email_of(who: str) -> str:
    """Their address; nothing is ever sent there."""
    return f"{who.replace(' ', '-')}@example.com"


def _address(order: Order, who: str, fault: Fault) -> dict[str, str]:
    digits = int("0" + "".join(c for c in order.customer or order.invoice if c.isdecimal()))
    street = f"{digits % 200 + 1} {STREETS[digits % len(STREETS)]}"
    return {
        "name": who.capitalize(),
        "line1": f"{street}{fault.address_mark}",
        "city": "Exampleton",
        "country": NOT_SERVED_COUNTRY if fault is Fault.NOT_SERVED else order.country,
    }
