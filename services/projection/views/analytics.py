"""The view `analytics`: sums over the orders by day, and of products and customers by longer periods too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from operator import add, sub

from services.contracts import fulfillment, orders, payments
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.projection.views.order_figures import (
    Placed,
    basket_of,
    by_customer_of,
    by_product_of,
    by_status_of,
    confirmation_of,
    counted_after,
    names_in,
    outcome_of,
)
from services.projection.views.period_sums import Changes
from services.read_model.analytics import (
    BASKETS,
    BY_CUSTOMER,
    BY_PRODUCT,
    BY_STATUS,
    CONFIRMATIONS,
    COUNTED,
    PRODUCT_NAMES,
    Basket,
    Counted,
    ProductName,
)
from services.read_model.periods import day_to_all_time, day_to_year

__all__ = ["ANALYTICS_VIEW"]

DELETE_EMPTY = "DELETE FROM {schema}.by_status WHERE orders = 0 AND day = ANY($1::date[])"


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, ANALYTICS_VIEW))
    before = await rows.find(COUNTED, {message.key_value for _, message in changes})
    after, new = dict(before), dict[str, Basket]()
    for event, message in changes:
        order_id = message.key_value
        if isinstance(message, Placed) and order_id not in after:
            new[order_id] = basket_of(message)
        if row := counted_after(after.get(order_id), message, event.time):
            after[order_id] = row
    changed = [row for order_id, row in after.items() if row != before.get(order_id)]
    baskets = await _baskets(rows, before, changed, new)
    await rows.put(COUNTED, changed)
    await rows.add(BASKETS, list(new.values()))
    await _put_names(rows, names_in([message for _, message in changes]))
    await _increase(rows, before, changed, baskets)


async def _baskets(
    rows: Rows, before: Mapping[str, Counted], changed: Sequence[Counted], new: Mapping[str, Basket]
) -> Mapping[str, Basket]:
    """The baskets of the orders that change the sums of their products."""
    known = [(before[row.order_id], row) for row in changed if row.order_id in before]
    moved = [new.order_id for old, new in known if outcome_of(old) != outcome_of(new)]
    return {**await rows.find(BASKETS, moved), **new}


async def _put_names(rows: Rows, names: Mapping[str, str]) -> None:
    known = await rows.find(PRODUCT_NAMES, names)
    named = [ProductName(*each) for each in names.items()]
    await rows.put(PRODUCT_NAMES, [each for each in named if known.get(each.product_id) != each])


async def _increase(
    rows: Rows, before: Mapping[str, Counted], changed: Sequence[Counted], baskets: Mapping[str, Basket]
) -> None:
    by_status, by_product = Changes(BY_STATUS, _day_alone), Changes(BY_PRODUCT, day_to_year)
    by_customer, confirmations = Changes(BY_CUSTOMER, day_to_all_time), Changes(CONFIRMATIONS, _day_alone)
    steps = [(before.get(new.order_id), new) for new in changed]
    for row, how in [each for old, new in steps for each in ((old, sub), (new, add))]:
        if row is None:
            continue
        day = row.placed_at.date()
        by_status.count(how, day, by_status_of(row))
        by_customer.count(how, day, by_customer_of(row))
        confirmations.count(how, day, confirmation_of(row))
        if basket := baskets.get(row.order_id):
            for found in by_product_of(row, basket):
                by_product.count(how, day, found)
    statuses = by_status.rows()
    await rows.increase(BY_STATUS, statuses)
    if left := {each.day for each in statuses if each.orders < 0}:
        await rows.execute(DELETE_EMPTY, sorted(left))
    await rows.increase(BY_PRODUCT, by_product.rows())
    await rows.increase(BY_CUSTOMER, by_customer.rows())
    await rows.increase(CONFIRMATIONS, confirmations.rows())


def _day_alone(day: date) -> tuple[date]:
    return (day,)


WAKES: Sequence[type[Message]] = (
    orders.OrderCreated, orders.OrderImported, orders.OrderUpdated, orders.OrderCancellationRequested,
    orders.OrderCancelled, orders.OrderConfirmed, orders.OrderFailed, orders.OrderShipped, orders.OrderDelivered,
    fulfillment.RunStarted, payments.ProviderReported, payments.ProviderUpdated,
)  # fmt: skip
ANALYTICS_VIEW = View(
    name="analytics",
    revision=5,
    tables=(COUNTED, BASKETS, PRODUCT_NAMES, BY_STATUS, BY_PRODUCT, BY_CUSTOMER, CONFIRMATIONS),
    wakes={model.type: model for model in WAKES},
    # the end of its order follows and wakes the projection (docs/decisions/0003-what-wakes-the-projection.md)
    also={payments.PaymentRefunded.type: payments.PaymentRefunded},
    feed=feed,
)
