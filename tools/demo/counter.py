"""Orders that the demo places like a shop front, with a coupon and express shipping, and edits and refunds like staff.

What they must come to is computed here from what is sent.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from tools.demo.arithmetic import pennies, shares, tax_in
from tools.demo.expected import Amount, Expected
from tools.demo.shop import COUPON, COUPON_PERCENT, EXPRESS, EXPRESS_COST, TAX_PERCENT
from tools.importer.catalogue import Offer
from tools.importer.edge import Edge, EdgeError
from tools.importer.stock import StockLevel, seed
from tools.patience import Patience
from tools.terminal import say

__all__ = ["SALES", "Sale", "expected_with", "prepare", "sell"]

ZERO = Decimal(0)
PRICES: Mapping[str, Decimal] = {"DEMO-MUG": Decimal("4.50"), "DEMO-POT": Decimal("24.99"), "DEMO-TEA": Decimal("3.35")}
POLL_SECONDS = 0.2
CONFIRMED_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Sale:
    """An order of the counter; `refunds` is an amount that goes back, `returns` a line that goes back into stock.

    `edits` are the quantities that staff give to lines while a rule of the shop holds the order; 0 removes a line.
    """

    ordered: Mapping[str, int]
    country: str = "GB"
    coupon: bool = False
    express: bool = False
    refunds: Decimal = ZERO
    returns: int = 0
    edits: Mapping[int, int] = field(default_factory=dict[int, int])

    @property
    def items(self) -> Mapping[str, int]:
        """The products and their quantities after the edits."""
        lines = enumerate(self.ordered.items(), 1)
        edited = ((sku, self.edits.get(line, quantity)) for line, (sku, quantity) in lines)
        return {sku: quantity for sku, quantity in edited if quantity}

    @property
    def values(self) -> list[Decimal]:
        """The lines before the discount."""
        return [PRICES[sku] * quantity for sku, quantity in self.items.items()]

    @property
    def discount(self) -> Decimal:
        """What the coupon takes off."""
        return pennies(sum(self.values, ZERO) * COUPON_PERCENT / 100) if self.coupon else ZERO

    @property
    def paid(self) -> list[Decimal]:
        """What the customer pays for each line."""
        parts = shares(self.discount, self.values)
        return [value - part for value, part in zip(self.values, parts, strict=True)]

    @property
    def shipping(self) -> Decimal:
        """The shipping cost."""
        return EXPRESS_COST if self.express else ZERO

    @property
    def total(self) -> Decimal:
        """What the customer pays."""
        return sum(self.paid, self.shipping)

    @property
    def tax(self) -> Decimal:
        """The tax in the total."""
        percent = TAX_PERCENT.get(self.country, ZERO)
        return sum((tax_in(each, percent) for each in self.paid), tax_in(self.shipping, percent))

    @property
    def refunded(self) -> Decimal:
        """The money that goes back."""
        return self.refunds + (self.paid[self.returns - 1] if self.returns else ZERO)

    @property
    def refund_count(self) -> int:
        """The number of refunds."""
        return bool(self.refunds) + bool(self.returns)


SALES: Sequence[Sale] = (
    Sale({"DEMO-MUG": 2}, coupon=True),
    Sale({"DEMO-MUG": 3, "DEMO-POT": 1, "DEMO-TEA": 7}, coupon=True, express=True),
    Sale({"DEMO-POT": 2, "DEMO-TEA": 1}, "DE", express=True, refunds=Decimal("4.95")),
    Sale({"DEMO-TEA": 9, "DEMO-MUG": 1}, "FR", coupon=True, returns=1),
    Sale({"DEMO-POT": 1}, "US"),
    Sale({"DEMO-POT": 3, "DEMO-MUG": 4}, "IE", coupon=True, express=True, refunds=Decimal("10.01"), returns=2),
    Sale({"DEMO-MUG": 2, "DEMO-POT": 1, "DEMO-TEA": 5}, coupon=True, express=True, edits={1: 5, 2: 0}),
)


async def prepare(edge: Edge, sales: Sequence[Sale] = SALES) -> None:
    """Put the products of the sales into the catalogue and into stock; orders learns of them a little later."""
    await edge.define_products([Offer(sku, sku.title(), {"GBP": price}).body for sku, price in PRICES.items()])
    levels = [StockLevel(sku, sku.title(), units) for sku, units in sorted(_units(sales).items())]
    await seed(edge, levels, "demo-counter", lambda _: None)


async def sell(edge: Edge, sales: Sequence[Sale] = SALES) -> None:
    """Place the orders, and refund when they are confirmed."""
    async with asyncio.TaskGroup() as tasks:
        for number, sale in enumerate(sales, 1):
            tasks.create_task(_sell(edge, number, sale))


async def _sell(edge: Edge, number: int, sale: Sale) -> None:
    placed = await edge.place(_body(number, sale), f"demo-counter-{number}")
    if sale.edits:
        await _edit(edge, placed.order_id, number, sale)
    await _until_confirmed(edge, placed.order_id)
    if sale.refunds:
        body = {"amount": _gbp(sale.refunds), "reason": "The parcel was late."}
        await edge.command(f"/payments/{placed.order_id}/refunds", body, f"demo-refund-{number}")
    if sale.returns:
        quantity = [*sale.items.values()][sale.returns - 1]
        lines = [{"line": sale.returns, "quantity": quantity}]
        body = {"lines": lines, "restock": True, "reason": "The goods came back."}
        await edge.command(f"/payments/{placed.order_id}/refunds", body, f"demo-return-{number}")


async def _edit(edge: Edge, order_id: str, number: int, sale: Sale) -> None:
    """Edit an order that waits for a review, and release it."""
    before = replace(sale, edits={})
    body = {
        "lines": [{"line": line, "quantity": quantity} for line, quantity in sale.edits.items()],
        "reason": "The customer called.",
        "expected_difference": _gbp(sale.total - before.total),
    }
    await edge.command(f"/orders/{order_id}/edits", body, f"demo-edit-{number}")
    await edge.command(f"/orders/{order_id}/release", {"reason": "It is right now."}, f"demo-release-{number}")


async def _until_confirmed(edge: Edge, order_id: str) -> None:
    patience, status = Patience(f"{order_id} to be confirmed", CONFIRMED_SECONDS_MAX, say), ""
    while status != "confirmed":
        state = await edge.state(order_id)
        status = state.status if state else ""
        if patience.is_over(status):
            raise EdgeError(f"The order {order_id} is {status or 'not shown'}, and not confirmed.")
        await asyncio.sleep(POLL_SECONDS)


def _body(number: int, sale: Sale) -> dict[str, object]:
    address = {"name": f"Counter {number}", "line1": "1 Quay", "city": "Exampleton", "country": sale.country}
    return {
        "email": f"counter-{number}@example.com",
        "customer_name": f"Counter {number}",
        "items": [{"product_id": sku, "quantity": quantity} for sku, quantity in sale.ordered.items()],
        "shipping_address": address,
        # another address: the shop reviews the order
        **({"billing_address": {**address, "line1": "2 Quay"}} if sale.edits else {}),
        "payment_method": {"kind": "card", "token": "tok_approve"},
        "currency": "GBP",
        "expected_total": _gbp(replace(sale, edits={}).total),
        **({"coupon": COUPON} if sale.coupon else {}),
        **({"shipping_method": EXPRESS} if sale.express else {}),
    }


def _gbp(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:f}", "currency": "GBP"}


def _units(sales: Sequence[Sale]) -> Counter[str]:
    units = Counter[str]()
    for sale in sales:
        units.update(sale.items)
    return units


def expected_with(expected: Expected, sales: Sequence[Sale] = SALES) -> Expected:
    """The totals with those of the sales."""
    count, units = len(sales), _units(sales)
    back = Counter[str]()
    for sale in sales:
        if sale.returns:
            sku, quantity = [*sale.items.items()][sale.returns - 1]
            back[sku] += quantity
    sold, refunded = sum((sale.total for sale in sales), ZERO), sum((sale.refunded for sale in sales), ZERO)
    tax = sum((sale.tax for sale in sales), ZERO)
    more: dict[str, Amount] = {
        "orders placed": count,
        "orders confirmed": count,
        "orders edited": sum(bool(sale.edits) for sale in sales),
        "value ordered": sold,
        "value confirmed": sold,
        "money captured": sold,
        "money refunded": refunded,
        "units shipped": units.total() - back.total(),
        "products": len(PRICES),
        "lines at the shop's price": sum(len(sale.ordered) for sale in sales),
        "confirmation mails": count,
        "refund mails": sum(sale.refund_count for sale in sales),
        "review mails": sum(bool(sale.edits) for sale in sales),
        "sales: gross": sold,
        "sales: discount": sum((sale.discount for sale in sales), ZERO),
        "sales: shipping": sum((sale.shipping for sale in sales), ZERO),
        "sales: tax": tax,
        "sales: net": sold - tax,
        "sales: refunded": refunded,
        "sales: revenue": sold - refunded,
    }
    totals = {name: amount + more.get(name, 0) for name, amount in expected.totals.items()}
    return Expected(totals, {**expected.on_hand, **{sku: back[sku] for sku in units}})
