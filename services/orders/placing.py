"""Carries out the commands that place or draft an order, at the prices that the catalogue has at that moment."""

from __future__ import annotations

from dataclasses import replace

from services.contracts.catalogue import Product
from services.contracts.orders import OrderCancelled, OrderConfirmed, OrderFailed, PricedFields
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler, TransactionAttempt
from services.kit.commands.outcome import Loaded, Outcome, error_of
from services.kit.domain.decider import Rejected
from services.kit.eventstore.port import Transaction
from services.orders import buyers, coupon_uses
from services.orders.domain import ORDER
from services.orders.editing import content_of
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
from services.orders.price_book import look_up
from services.orders.pricing import Basket, Book, basket_of, price, totals_problem
from services.orders.shop_rules import Coupon, Delivery, ShopRules, coupon_named

__all__ = ["PricedCommand", "carry_out", "change_lines", "conclude", "preview", "quote"]

_Content = Place | BeginDraft | RewriteDraft
PricedCommand = _Content | Submit


async def carry_out(
    handler: CommandHandler, command: PricedCommand, cause: Cause, expected_version: int | None = None
) -> Outcome[Order | None]:
    """Carry out the command; the transaction that records the order reads the prices that the command needs."""
    if isinstance(command, _Content) and not _needs_rows(command):
        return await handler.handle(ORDER, command.order_id, command, cause, expected_version)

    async def work(attempt: TransactionAttempt[OrderCommand, Order]) -> None:
        begins = isinstance(command, ORDER.opens)
        loaded = Loaded(ORDER.initial, 0) if begins else await attempt.load()
        products = _products(command, loaded.state)
        book = await _book(attempt.transaction, products)
        left = await coupon_uses.take(attempt.transaction, command.order_id, _coupon(command, loaded.state))
        bought = await buyers.has_bought(attempt.transaction, _buyer(command, loaded.state))
        found = replace(command, book=book, is_coupon_left=left, has_bought=bought)
        await attempt.carry_out(found, loaded, expected_version)

    return await handler.transact(ORDER, command.order_id, work, cause)


async def change_lines(
    handler: CommandHandler, command: Edit, cause: Cause, expected_version: int | None = None
) -> Outcome[Order | None]:
    """Carry out an edit; the transaction that records it reads the prices of the added products."""

    async def work(attempt: TransactionAttempt[OrderCommand, Order]) -> None:
        loaded = await attempt.load()
        book = await _book(attempt.transaction, command.products)
        await attempt.carry_out(replace(command, book=book), loaded, expected_version)

    return await handler.transact(ORDER, command.order_id, work, cause)


async def preview(handler: CommandHandler, command: Edit) -> tuple[PricedFields, PricedFields]:
    """The order before an edit, and what it would be after; raises what the edit would raise. Changes nothing."""
    order = (await handler.reload(ORDER, command.order_id)).state
    async with handler.store.transaction() as transaction:
        command = replace(command, book=await _book(transaction, command.products))
    decision = ORDER.decide(command, order)
    if isinstance(decision, Rejected):
        raise error_of(decision)
    before, after = content_of(order), next(event for event in decision if isinstance(event, PricedFields))
    assert before is not None
    return before, after


async def conclude(
    handler: CommandHandler,
    command: Confirm | Fail | CompleteCancellation | Cancel,
    cause: Cause,
    expected_version: int | None = None,
) -> Outcome[Order | None]:
    """Carry out the end of an order, in one transaction with the rows that follow from it.

    An order that is cancelled or failed gives back the use of its coupon; one that is confirmed makes its customer one
    who has bought.
    """

    async def work(attempt: TransactionAttempt[OrderCommand, Order]) -> None:
        loaded = await attempt.load()
        events = await attempt.carry_out(command, loaded, expected_version)
        if any(isinstance(event, OrderFailed | OrderCancelled) for event in events):
            await coupon_uses.give_back(attempt.transaction, command.order_id)
        if any(isinstance(event, OrderConfirmed) for event in events):
            await buyers.record(attempt.transaction, loaded.state.customer_id)

    return await handler.transact(ORDER, command.order_id, work, cause)


def _needs_rows(command: _Content) -> bool:
    """Whether the command needs rows of the service's own tables: prices, uses of a coupon, or who has bought."""
    basket = command.basket
    return bool(basket.products_under(command.rules) or basket.coupon or _buyer(command, NoOrder()))


def _buyer(command: PricedCommand, order: Order) -> str | None:
    """The customer of whom a rule of the shop asks whether they have bought; None if none asks."""
    if not command.rules.review.first_order:
        return None
    if isinstance(command, Place):
        return command.fields.customer_id
    return order.customer_id if isinstance(command, Submit) else None


def _coupon(command: PricedCommand, order: Order) -> Coupon | None:
    """The coupon of which this command takes a use: a draft takes none before it is submitted."""
    code = None
    if isinstance(command, Place):
        code = command.basket.coupon
    elif isinstance(command, Submit) and isinstance(order, Draft):
        code = order.content.coupon
    return coupon_named(command.rules, code) if code else None


def _products(command: PricedCommand, order: Order) -> frozenset[str]:
    if isinstance(command, _Content):
        return command.basket.products_under(command.rules)
    return basket_of(order.content).products_under(command.rules) if isinstance(order, Draft) else frozenset()


async def _book(transaction: Transaction, products: frozenset[str]) -> Book:
    return await look_up(transaction, products) if products else dict[str, Product]()


async def quote(handler: CommandHandler, basket: Basket, cause: Cause, rules: ShopRules, to: Delivery) -> PricedFields:
    """The amounts of an order that is not placed; raises what placing it would raise because of its prices."""
    async with handler.store.transaction() as transaction:
        book = await _book(transaction, basket.products_under(rules))
    priced = price(basket, book, cause.at, rules, to)
    problem = priced if isinstance(priced, Rejected) else totals_problem(priced, basket.expected_total)
    if problem is not None:
        raise error_of(problem)
    assert isinstance(priced, PricedFields)
    return priced
