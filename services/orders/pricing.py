"""The price of an order: what a client asks for, what the price book says, and the amounts that follow.

A price is the catalogue's unless the request names it; `services.orders.api` lets only some callers name prices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from services.contracts.catalogue import Product
from services.contracts.orders import Discount, OrderLine, PricedFields
from services.kit.domain.currencies import rounded, shown_money
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Money
from services.orders.price_book import price_at
from services.orders.shop_rules import (
    NO_RULES,
    Delivery,
    ShopRules,
    cheapest_first,
    coupon_named,
    coupon_off,
    tax_rate_of,
)
from services.orders.totals import NO_OFF, Off, PricedLine, Pricing, Totals, totals_of

__all__ = [
    "LINES_BYTES_MAX",
    "TOTAL_BELOW",
    "Basket",
    "Book",
    "WantedLine",
    "amounts_of",
    "basket_of",
    "bound_problem",
    "line_of",
    "price",
    "shown_totals",
    "size_problem",
    "subtotal_of",
    "taxed",
    "totals_problem",
]

TOTAL_BELOW = Decimal(1_000_000_000_000)
"""The bound of a total in any currency: `Money` can hold it, and what is added to it later."""
LINES_BYTES_MAX = 800_000
"""Bytes of the lines in an event: with everything else it must fit into one message of Kafka (1,000,000 bytes)."""
LINE_BYTES = 350
"""The most that a line takes beside its name."""
ZERO = Decimal(0)
NOWHERE = Delivery()

Book = Mapping[str, Product]
"""The products of the price book, by sku."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedLine:
    """A line as a client asks for it; a name or a price that is None is the catalogue's.

    `tax` is an amount instead of a rate, which only orders of other systems have.
    """

    product_id: str
    quantity: int
    product_name: str | None = None
    unit_price: Decimal | None = None
    discount: Discount | None = None
    tax_rate: Decimal | None = None
    tax: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Basket:
    """The lines and the conditions from which `price` computes the amounts of an order.

    `currencies` are those that its amounts name; if they name none, the currency of the shop.
    `expected_total` is the total that the client expects, if the request names one. `shipping_tax` and `tax` are
    amounts instead of rates, `tax` that of the whole order.
    """

    lines: tuple[WantedLine, ...]
    currencies: frozenset[str]
    discounts: tuple[Discount, ...] = ()
    shipping_cost: Decimal | None = None
    shipping_tax_rate: Decimal | None = None
    shipping_tax: Decimal | None = None
    tax: Decimal | None = None
    tax_included: bool | None = None
    coupon: str | None = None
    expected_total: Money | None = None

    @property
    def products(self) -> frozenset[str]:
        """The products whose price or name the price book must say."""
        return frozenset(line.product_id for line in self.lines if None in (line.unit_price, line.product_name))

    def products_under(self, rules: ShopRules) -> frozenset[str]:
        """The products that the price book must say: all, for tax class and weight, if the shop has tables."""
        return frozenset(line.product_id for line in self.lines) if rules.by_destination else self.products


def basket_of(priced: PricedFields) -> Basket:
    """The basket from which these amounts were computed, so that it can be priced again at other prices."""
    return Basket(
        lines=tuple(
            WantedLine(
                product_id=line.product_id,
                quantity=line.quantity,
                product_name=line.product_name,
                unit_price=None if line.price_from else line.unit_price,
                discount=line.line_discount,
                tax_rate=None if line.tax_from else line.tax_rate,
            )
            for line in priced.lines
        ),
        currencies=frozenset({priced.total.currency}),
        discounts=priced.discounts,
        coupon=priced.coupon,
        shipping_cost=None if priced.shipping_from else priced.shipping_total,
        shipping_tax_rate=None if priced.shipping_from else priced.shipping_tax_rate,
        tax_included=None if any(line.tax_from for line in priced.lines) else priced.tax_included,
    )


def price(
    basket: Basket, book: Book, at: datetime, rules: ShopRules = NO_RULES, to: Delivery = NOWHERE
) -> PricedFields | Rejected:
    """The lines and the amounts of an order at the prices of `at`, or why it is refused."""
    if len(basket.currencies) != 1:
        return Rejected("mixed-currencies", "All amounts of an order must have the same currency.", field="items")
    (currency,) = basket.currencies
    lines: list[OrderLine] = []
    for place, wanted in enumerate(basket.lines):
        line = line_of(wanted, book, currency, at, f"items.{place}")
        if isinstance(line, Rejected):
            return line
        lines.append(taxed(line, book, rules, to))
    if problem := _fraction_problem(basket, currency) or size_problem(lines, currency):
        return problem
    basket = _with_taxes(basket, rules, to)
    off = _coupon_off(basket, lines, currency, rules, at)
    if isinstance(off, Rejected):
        return off
    priced = amounts_of(basket, lines, currency, off)
    if basket.shipping_cost is None and rules.shipping:
        shipped = _with_shipping(basket, priced, book, rules, to)
        if isinstance(shipped, Rejected):
            return shipped
        priced = amounts_of(shipped, lines, currency, off).model_copy(update={"shipping_from": "shop"})
    return bound_problem(priced.total) or priced


def _coupon_off(
    basket: Basket, lines: list[OrderLine], currency: str, rules: ShopRules, at: datetime
) -> Off | Rejected:
    """The discount of the coupon that the basket names; none without one."""
    if basket.coupon is None:
        return Off()
    coupon = coupon_named(rules, basket.coupon)
    off = coupon_off(coupon, currency, subtotal_of(lines, currency), at) if coupon else None
    detail = (
        f"The coupon {basket.coupon} gives no discount for this order: it is unknown, not valid now, not for "
        f"{currency}, or the goods cost less than its minimum. Leave it out."
    )
    return off or Rejected("coupon-not-valid", detail, field="coupon")


def taxed(line: OrderLine, book: Book, rules: ShopRules, to: Delivery) -> OrderLine:
    """The line with the rate of the shop's table, unless it names one or the shop has none."""
    if line.tax_rate is not None or not rules.taxes:
        return line
    product = book.get(line.product_id)
    rate = tax_rate_of(rules, to, product.tax_class if product else "standard")
    return line.model_copy(update={"tax_rate": rate, "tax_from": "shop"})


def _with_taxes(basket: Basket, rules: ShopRules, to: Delivery) -> Basket:
    """The basket, with what the shop sets for the tax of shipping and for prices with tax where it sets nothing."""
    rate, included = basket.shipping_tax_rate, basket.tax_included
    return replace(
        basket,
        shipping_tax_rate=tax_rate_of(rules, to, rules.shipping_tax_class) if rate is None else rate,
        tax_included=rules.tax_included if included is None else included,
    )


def _with_shipping(
    basket: Basket, priced: PricedFields, book: Book, rules: ShopRules, to: Delivery
) -> Basket | Rejected:
    """The basket with the cost of its cheapest shipping rate."""
    weights = ((book[line.product_id].weight_grams or 0, line) for line in priced.lines if line.product_id in book)
    weight = sum(grams * line.quantity for grams, line in weights)
    goods = (priced.subtotal or ZERO) - priced.discount_total
    rates = cheapest_first(rules, to, priced.total.currency, weight, goods)
    if not rates:
        detail = "The shop does not ship this order there by this method: choose another method or address."
        return Rejected("shipping-not-offered", detail, field="shipping_method")
    return replace(basket, shipping_cost=rates[0].cost)


def _instead(product: Product | None, at: datetime) -> str:
    """The advice to a client whose currency a product has no price in: another currency that it has, if any."""
    priced = {price.currency for price in product.prices} if product else set[str]()
    found = sorted(each for each in priced if product and price_at(product, each, at) is not None)
    return f"order in {' or '.join(found)}, or leave this line out" if found else "leave this line out"


def line_of(wanted: WantedLine, book: Book, currency: str, at: datetime, field: str) -> OrderLine | Rejected:
    """The line with the name and the price of the book where it names none, or why the shop does not sell it."""
    name, unit_price = wanted.product_name, wanted.unit_price
    if name is None or unit_price is None:
        product = book.get(wanted.product_id)
        if product is None or not product.active:
            detail = f"The shop does not sell a product {wanted.product_id}: leave this line out."
            return Rejected("product-not-sold", detail, field=f"{field}.product_id")
        name = name or product.name
        unit_price = price_at(product, currency, at) if unit_price is None else unit_price
        if unit_price is None:
            detail = f"The product {wanted.product_id} has no price in {currency} now: {_instead(product, at)}."
            return Rejected("product-without-price", detail, field=f"{field}.product_id")
    return OrderLine(
        product_id=wanted.product_id,
        product_name=name,
        quantity=wanted.quantity,
        unit_price=unit_price,
        price_from="catalogue" if wanted.unit_price is None else None,
        line_discount=wanted.discount,
        tax_rate=wanted.tax_rate,
        tax=wanted.tax,
    )


def amounts_of(basket: Basket, lines: list[OrderLine], currency: str, coupon: Off) -> PricedFields:
    """The lines with their amounts, and the amounts of the order, by the conditions of the basket."""
    totals = totals_of(
        Pricing(
            lines=[_unsummed(line) for line in lines],
            currency=currency,
            offs=[*map(_off, basket.discounts), coupon],
            shipping=rounded(basket.shipping_cost or ZERO, currency),
            shipping_tax_rate=basket.shipping_tax_rate or ZERO,
            shipping_tax=basket.shipping_tax,
            tax=basket.tax,
            tax_included=bool(basket.tax_included),
        )
    )
    return PricedFields(
        lines=tuple(_with_amounts(lines, totals)),
        discounts=basket.discounts,
        coupon=basket.coupon,
        tax_included=bool(basket.tax_included),
        shipping_tax_rate=basket.shipping_tax_rate or ZERO,
        shipping_from="shop" if basket.shipping_cost is None else None,
        subtotal=totals.subtotal,
        discount_total=totals.discount_total,
        shipping_total=totals.shipping_total,
        shipping_tax=totals.shipping_tax,
        tax_total=totals.tax_total,
        total=Money(amount=totals.total, currency=currency),
    )


def _unsummed(line: OrderLine) -> PricedLine:
    return PricedLine(line.unit_price, line.quantity, _off(line.line_discount), line.tax_rate or ZERO, line.tax)


def _with_amounts(lines: list[OrderLine], totals: Totals) -> list[OrderLine]:
    return [
        line.model_copy(update={"subtotal": one.subtotal, "discount": one.discount, "tax": one.tax, "total": one.total})
        for line, one in zip(lines, totals.lines, strict=True)
    ]


def _off(discount: Discount | None) -> Off:
    return Off(discount.amount or ZERO, discount.percent or ZERO) if discount else NO_OFF


def _fraction_problem(basket: Basket, currency: str) -> Rejected | None:
    discounts = [*basket.discounts, *(line.discount for line in basket.lines if line.discount)]
    taxes = [basket.shipping_tax, basket.tax, *(line.tax for line in basket.lines if line.tax)]
    amounts = [basket.shipping_cost, *taxes, *(discount.amount for discount in discounts)]
    if any(amount != rounded(amount, currency) for amount in amounts if amount):
        detail = f"A discount, a tax or a shipping cost has more decimals than {currency} has. Round it."
        return Rejected("fraction-of-minor-unit", detail, field="items")
    return None


def size_problem(lines: list[OrderLine], currency: str) -> Rejected | None:
    """Why an order cannot have these lines: together they are too long or too dear."""
    if sum(LINE_BYTES + len(line.product_name.encode()) for line in lines) > LINES_BYTES_MAX:
        detail = f"The {len(lines)} lines are too long together. Shorten their names, or place several orders."
        return Rejected("order-too-large", detail, field="items")
    return bound_problem(Money.model_construct(amount=subtotal_of(lines, currency), currency=currency))


def subtotal_of(lines: Sequence[OrderLine], currency: str) -> Decimal:
    """The exact sum of the lines, rounded once to the minor unit (rule 1 of `services.orders.totals`)."""
    return rounded(sum((line.unit_price * line.quantity for line in lines), ZERO), currency)


def bound_problem(total: Money) -> Rejected | None:
    """Why an order cannot have this total."""
    if total.amount >= TOTAL_BELOW:
        return Rejected("total-too-large", f"The total of an order must be below {TOTAL_BELOW:,f}.", field="items")
    if total.amount <= 0:
        return Rejected("nothing-to-pay", "The total of an order must be above zero.", field="items")
    return None


def totals_problem(priced: PricedFields, expected: Money | None) -> Rejected | None:
    """Why an order whose client expects another total is refused; None if it is the same or the client says none."""
    if expected in (None, priced.total):
        return None
    detail = f"The total is {priced.total.amount} {priced.total.currency} now: send this `expected_total` to accept it."
    return Rejected("price-changed", detail, more={"totals": shown_totals(priced)})


def shown_totals(priced: PricedFields) -> dict[str, object]:
    """The amounts of an order as answers show them."""
    currency = priced.total.currency
    amounts = {
        "subtotal": priced.subtotal or priced.total.amount,
        "discount_total": priced.discount_total,
        "shipping_total": priced.shipping_total,
        "tax_total": priced.tax_total,
        "total": priced.total.amount,
    }
    return {
        **{name: shown_money(amount, currency) for name, amount in amounts.items()},
        "tax_included": priced.tax_included,
    }
