"""The taxes and the shipping costs of the shop: tables by destination, and what they say about one order. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from services.contracts.catalogue import TaxClass
from services.contracts.orders import Address, Amount, Percent
from services.kit.domain.countries import KnownCountry
from services.kit.domain.currencies import KnownCurrency, rounded
from services.kit.domain.message import Instant, Value
from services.kit.domain.texts import folded
from services.orders.totals import Off

__all__ = [
    "CODE", "NO_RULES", "Coupon", "Delivery", "Review", "ShippingRate", "ShopRules", "TaxRate", "are_alike",
    "cheapest_first", "coupon_named", "coupon_off", "tax_rate_of",
]  # fmt: skip

ROWS_MAX = 2_000
CODE = r"^[A-Za-z0-9][A-Za-z0-9_\-]{1,39}$"
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class TaxRate(Value):
    """The rate for goods of a class in a country, or in a region of it, whose rate then replaces the country's."""

    country: KnownCountry
    region: Name | None = None
    tax_class: TaxClass = "standard"
    percent: Percent


class ShippingRate(Value):
    """The cost of a shipping method for these countries (all if empty), up to a weight, from a value of goods on."""

    method: Name
    countries: tuple[KnownCountry, ...] = ()
    currency: KnownCurrency
    cost: Amount
    weight_grams_max: Annotated[int, Field(ge=0)] | None = None
    goods_min: Amount = Decimal(0)

    @model_validator(mode="after")
    def _payable(self) -> Self:
        if rounded(self.cost, self.currency) != self.cost:
            raise ValueError(f"{self.method} costs fractions of the minor unit of {self.currency}")
        return self


class Coupon(Value):
    """A discount for orders that name the code: in percent, or an amount by currency.

    It holds from `valid_from` until `valid_until` (excluded), from a subtotal on, and for `uses_max` orders; an order
    that fails or is cancelled gives its use back.
    """

    code: Annotated[str, StringConstraints(pattern=CODE)]
    percent: Annotated[Percent, Field(gt=0)] | None = None
    amounts: dict[KnownCurrency, Annotated[Amount, Field(gt=0)]] = Field(default_factory=dict)
    valid_from: Instant | None = None
    valid_until: Instant | None = None
    subtotal_min: Amount = Decimal(0)
    uses_max: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.percent is None) == (not self.amounts):
            raise ValueError("a coupon has either a percentage or amounts")
        return self

    @model_validator(mode="after")
    def _payable(self) -> Self:
        for currency, amount in self.amounts.items():
            if rounded(amount, currency) != amount:
                raise ValueError(f"{self.code} takes off fractions of the minor unit of {currency}")
        return self


class Review(Value):
    """Which orders are on hold from the start: those that match one of these rules; a rule that is not set holds none.

    `total_above` is an amount by currency. `first_order` holds orders of guests, and of customers of whom no order was
    confirmed since the rule is set. `account_days_below` holds orders of accounts that are younger.
    """

    total_above: dict[KnownCurrency, Amount] = Field(default_factory=dict)
    addresses_differ: bool = False
    first_order: bool = False
    account_days_below: Annotated[int, Field(ge=1, le=36_500)] | None = None


class ShopRules(Value):
    """The tables of the shop. Without a table, orders have no tax or no shipping cost unless the request names them.

    `tax_included` says whether the prices include the tax. `home_country` is the destination of a quote without one.
    """

    tax_included: bool = False
    home_country: KnownCountry | None = None
    taxes: Annotated[tuple[TaxRate, ...], Field(max_length=ROWS_MAX)] = ()
    shipping: Annotated[tuple[ShippingRate, ...], Field(max_length=ROWS_MAX)] = ()
    shipping_tax_class: TaxClass = "standard"
    coupons: Annotated[tuple[Coupon, ...], Field(max_length=ROWS_MAX)] = ()
    review: Review = Review.model_construct()

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        codes = [coupon.code.casefold() for coupon in self.coupons]
        rates = [f"{rate.country} {folded(rate.region or '')} {rate.tax_class}" for rate in self.taxes]
        twice = [name for name, times in Counter([*codes, *rates]).items() if times > 1]
        if twice:
            raise ValueError(f"the shop's rules have {twice[0]} more than once: which of them holds is not clear")
        return self

    @property
    def by_destination(self) -> bool:
        """Whether the destination of an order decides a part of its price."""
        return bool(self.taxes or self.shipping)


NO_RULES = ShopRules.model_construct()  # not validated: to build the validator takes 10 ms of a cold start


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where an order goes, and by which method; None if it is not known."""

    country: str | None = None
    region: str | None = None
    method: str | None = None

    @classmethod
    def to(cls, address: Address, method: str | None = None) -> Delivery:
        """A delivery to an address."""
        return cls(address.country, folded(address.region or "") or None, method)


def coupon_named(rules: ShopRules, code: str) -> Coupon | None:
    """The coupon with this code; capital letters do not matter."""
    return next((coupon for coupon in rules.coupons if coupon.code.casefold() == code.casefold()), None)


def coupon_off(coupon: Coupon, currency: str, subtotal: Decimal, at: datetime) -> Off | None:
    """The discount of a coupon; None if it does not hold for this order now."""
    begun = coupon.valid_from is None or coupon.valid_from <= at
    over = coupon.valid_until is not None and coupon.valid_until <= at
    if not begun or over or subtotal < coupon.subtotal_min:
        return None
    if coupon.percent is not None:
        return Off(percent=coupon.percent)
    return Off(coupon.amounts[currency]) if currency in coupon.amounts else None


def tax_rate_of(rules: ShopRules, to: Delivery, tax_class: str) -> Decimal:
    """The rate in percent; 0 where the table has none."""
    rates = [rate for rate in rules.taxes if (rate.country, rate.tax_class) == (to.country, tax_class)]
    of_region = [rate for rate in rates if rate.region is not None and folded(rate.region) == to.region]
    fitting = of_region or [rate for rate in rates if rate.region is None]
    return fitting[0].percent if fitting else Decimal(0)


def are_alike(rules: ShopRules, one: Delivery, other: Delivery) -> bool:
    """Whether the tables say the same for both destinations."""
    classes = {rate.tax_class for rate in rules.taxes}
    taxes = ({kind: tax_rate_of(rules, to, kind) for kind in classes} for to in (one, other))
    shipping = ([rate for rate in rules.shipping if _serves(rate, to)] for to in (one, other))
    return next(taxes) == next(taxes) and next(shipping) == next(shipping)


def _serves(rate: ShippingRate, to: Delivery) -> bool:
    return not rate.countries or to.country in rate.countries


def cheapest_first(
    rules: ShopRules, to: Delivery, currency: str, weight_grams: int, goods: Decimal
) -> list[ShippingRate]:
    """The shipping rates that an order with goods of this weight and value can have; of its method if it names one."""
    fitting = [
        rate
        for rate in rules.shipping
        if to.method in (None, rate.method)
        and rate.currency == currency
        and _serves(rate, to)
        and (rate.weight_grams_max is None or weight_grams <= rate.weight_grams_max)
        and rate.goods_min <= goods
    ]
    return sorted(fitting, key=lambda rate: rate.cost)
