"""Carries out the commands on orders, with the rows that they need or change: prices, coupons, and who has bought."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from services.contracts.orders import OrderCancelled, OrderConfirmed, OrderFailed, PricedFields
from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.commands.outcome import Complete, Completed, Loaded, Outcome, error_of
from services.kit.domain.decider import Rejected
from services.orders import buyers, coupon_uses
from services.orders.domain import ORDER
from services.orders.editing import content_of
from services.orders.numbers import OrderNumbers
from services.orders.order import (
    BeginDraft,
    Cancel,
    CompleteCancellation,
    Confirm,
    Draft,
    Edit,
    Fail,
    NoOrder,
    Order,
    OrderCommand,
    Place,
    RewriteDraft,
    Submit,
)
from services.orders.price_book import NOTHING_LISTED, PriceBook, look_up
from services.orders.pricing import Basket, basket_of, price, totals_problem
from services.orders.settings import OrdersSettings
from services.orders.shop_rules import Coupon, Delivery, ShopRules, coupon_named

__all__ = ["Orders"]

_Content = Place | BeginDraft | RewriteDraft
_Priced = _Content | Submit
_Ending = Confirm | Fail | CompleteCancellation | Cancel


class Orders:
    """Carries out the commands on orders, and tells what an order or an edit would come to.

    Prices are read from the price book before a command is decided; the append checks that they are still the same.
    """

    def __init__(self, handler: CommandHandler, settings: OrdersSettings) -> None:
        self.handler = handler
        self.settings = settings
        self.numbers = OrderNumbers(handler.store, settings.number_prefix)
        self._book = PriceBook(handler.store)

    async def carry_out(
        self, command: OrderCommand, cause: Cause, expected_version: int | None = None
    ) -> Outcome[Order | None]:
        """Carry out a command once per mark; raises as the command handler does."""
        complete: Complete[OrderCommand] | None = None
        match command:
            case Submit():
                return await self._in_transaction(command, cause, expected_version)
            case Place() | BeginDraft() | RewriteDraft() if _is_limited(_coupon(command, NoOrder())):
                return await self._in_transaction(command, cause, expected_version)
            case Cancel() | Fail() | CompleteCancellation():
                return await self._conclude(command, cause, expected_version)
            case Confirm() if self.settings.rules.review.first_order:
                return await self._conclude(command, cause, expected_version)
            case Place() | BeginDraft() | RewriteDraft() if _needs_rows(command):
                complete = partial(self._completed, command)
            case Edit() if command.products:
                complete = partial(self._priced, command)
            case _:
                pass
        return await self.handler.handle(ORDER, command.order_id, command, cause, expected_version, complete)

    async def preview(self, command: Edit) -> tuple[PricedFields, PricedFields]:
        """The order before an edit, and what it would be after; raises what the edit would raise. Changes nothing."""
        order = (await self.handler.reload(ORDER, command.order_id)).state
        decision = ORDER.decide((await self._priced(command, fresh=True)).command, order)
        if isinstance(decision, Rejected):
            raise error_of(decision)
        before, after = content_of(order), next(event for event in decision if isinstance(event, PricedFields))
        assert before is not None
        return before, after

    async def quote(self, basket: Basket, cause: Cause, rules: ShopRules, to: Delivery) -> PricedFields:
        """The amounts of an order that is not placed; raises what placing it would raise because of its prices."""
        listed = await self._book.look_up(basket.products_under(rules), fresh=True)
        priced = price(basket, listed.products, cause.at, rules, to)
        problem = priced if isinstance(priced, Rejected) else totals_problem(priced, basket.expected_total)
        if problem is not None:
            raise error_of(problem)
        assert isinstance(priced, PricedFields)
        return priced

    async def _completed(self, command: _Content, fresh: bool) -> Completed[OrderCommand]:
        listed = await self._book.look_up(command.basket.products_under(command.rules), fresh=fresh)
        bought = await buyers.has_bought(self.handler.store.fetch, _buyer(command, NoOrder()))
        return Completed(replace(command, book=listed.products, has_bought=bought), listed.versions)

    async def _priced(self, command: Edit, fresh: bool) -> Completed[OrderCommand]:
        listed = await self._book.look_up(command.products, fresh=fresh)
        return Completed(replace(command, book=listed.products), listed.versions)

    async def _in_transaction(
        self, command: _Priced, cause: Cause, expected_version: int | None
    ) -> Outcome[Order | None]:
        """Carry out a command that can take a use of a coupon, in one transaction with that."""

        async def work(attempt: TransactionAttempt[OrderCommand, Order]) -> None:
            fetch = attempt.transaction.fetch
            begins = isinstance(command, ORDER.opens)
            loaded = Loaded(ORDER.initial, 0) if begins else await attempt.load()
            products = _products(command, loaded.state)
            listed = await look_up(fetch, products) if products else NOTHING_LISTED
            bought = await buyers.has_bought(fetch, _buyer(command, loaded.state))
            left = await coupon_uses.take(attempt.transaction, command.order_id, _coupon(command, loaded.state))
            found = replace(command, book=listed.products, is_coupon_left=left, has_bought=bought)
            await attempt.carry_out(found, loaded, expected_version, listed.versions)

        return await self.handler.transact(ORDER, command.order_id, work, cause)

    async def _conclude(self, command: _Ending, cause: Cause, expected_version: int | None) -> Outcome[Order | None]:
        """Carry out the end of an order, in one transaction with the rows that follow from it.

        An order that is cancelled or failed gives back the use of its coupon; the customer of a confirmed one counts
        as somebody who has bought.
        """

        async def work(attempt: TransactionAttempt[OrderCommand, Order]) -> None:
            loaded = await attempt.load()
            events = await attempt.carry_out(command, loaded, expected_version)
            if any(isinstance(event, OrderFailed | OrderCancelled) for event in events):
                await coupon_uses.give_back(attempt.transaction, command.order_id)
            if any(isinstance(event, OrderConfirmed) for event in events):
                await buyers.record(attempt.transaction, loaded.state.customer_id)

        return await self.handler.transact(ORDER, command.order_id, work, cause)


def _needs_rows(command: _Content) -> bool:
    """Whether the command needs rows of the service's own tables: prices, or who has bought."""
    return bool(command.basket.products_under(command.rules) or _buyer(command, NoOrder()))


def _is_limited(coupon: Coupon | None) -> bool:
    return coupon is not None and coupon.uses_max is not None


def _buyer(command: _Priced, order: Order) -> str | None:
    """The customer of whom a rule of the shop asks whether they have bought; None if none asks."""
    if not command.rules.review.first_order:
        return None
    if isinstance(command, Place):
        return command.fields.customer_id
    return order.customer_id if isinstance(command, Submit) else None


def _coupon(command: _Priced, order: Order) -> Coupon | None:
    """The coupon of which this command takes a use: a draft takes none before it is submitted."""
    code = None
    if isinstance(command, Place):
        code = command.basket.coupon
    elif isinstance(command, Submit) and isinstance(order, Draft):
        code = order.content.coupon
    return coupon_named(command.rules, code) if code else None


def _products(command: _Priced, order: Order) -> frozenset[str]:
    if isinstance(command, _Content):
        return command.basket.products_under(command.rules)
    return basket_of(order.content).products_under(command.rules) if isinstance(order, Draft) else frozenset()
