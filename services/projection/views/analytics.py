"""The view `analytics`: sums over the orders by day, and of products and customers by longer periods too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from operator import add, sub
from typing import Any, NamedTuple

from services.contracts import fulfillment, orders, payments
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.projection.views.order_figures import (
    Placed,
    Rewritten,
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


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, ANALYTICS_VIEW))
    before = await rows.find(COUNTED, {message.key_value for _, message in changes})
    after, written = dict(before), dict[str, Basket]()
    for event, message in changes:
        order_id = message.key_value
        row = counted_after(after.get(order_id), message, event.time)
        if row is None:
            after.pop(order_id, None)
            written.pop(order_id, None)
            continue
        if isinstance(message, Rewritten) or (isinstance(message, Placed) and order_id not in after):
            written[order_id] = basket_of(message)
        after[order_id] = row
    changed = [each for each in {**before, **after} if each in written or after.get(each) != before.get(each)]
    steps = [Step(before.get(each), after.get(each), written.get(each)) for each in changed]
    known = await rows.find(BASKETS, [step.old.order_id for step in steps if step.old and step.moves_goods])
    await rows.remove(COUNTED, [step.old.order_id for step in steps if step.old and not step.new])
    await rows.put(COUNTED, [step.new for step in steps if step.new])
    await rows.remove(BASKETS, [step.old.order_id for step in steps if step.old and (step.basket or not step.new)])
    await rows.add(BASKETS, list(written.values()))
    await _put_names(rows, names_in([message for _, message in changes]))
    await _increase(rows, steps, known)


class Step(NamedTuple):
    """An order before and after a page, and its basket if that is new."""

    old: Counted | None
    new: Counted | None
    basket: Basket | None

    @property
    def moves_goods(self) -> bool:
        """Whether the sums of the order's products change."""
        return self.basket is not None or not self.old or not self.new or outcome_of(self.old) != outcome_of(self.new)


async def _put_names(rows: Rows, names: Mapping[str, str]) -> None:
    known = await rows.find(PRODUCT_NAMES, names)
    named = [ProductName(*each) for each in names.items()]
    await rows.put(PRODUCT_NAMES, [each for each in named if known.get(each.product_id) != each])


async def _increase(rows: Rows, steps: Sequence[Step], known: Mapping[str, Basket]) -> None:
    by_status, by_product = Changes(BY_STATUS, _day_alone), Changes(BY_PRODUCT, day_to_year)
    by_customer, confirmations = Changes(BY_CUSTOMER, day_to_all_time), Changes(CONFIRMATIONS, _day_alone)
    for step in steps:
        for row, how, written in ((step.old, sub, None), (step.new, add, step.basket)):
            if row is None:
                continue
            day = row.placed_at.date()
            by_status.count(how, day, by_status_of(row))
            by_customer.count(how, day, by_customer_of(row))
            confirmations.count(how, day, confirmation_of(row))
            if basket := written or known.get(row.order_id):
                for found in by_product_of(row, basket):
                    by_product.count(how, day, found)
    for changes in (by_status, by_product, by_customer, confirmations):
        await _apply(rows, changes)


async def _apply(rows: Rows, changes: Changes[Any]) -> None:
    """Add changes to their sums, and remove the sums of which no order is left."""
    table, found = changes.table, changes.rows()
    await rows.increase(table, found)
    if left := {getattr(each, table.key[0]) for each in found if each.orders < 0}:
        sql = f"DELETE FROM {{schema}}.{table.name} WHERE orders = 0 AND {table.key[0]} = ANY($1)"  # noqa: S608
        await rows.execute(sql, sorted(left))


def _day_alone(day: date) -> tuple[date]:
    return (day,)


ANALYTICS_VIEW = View(
    name="analytics",
    revision=9,
    tables=(COUNTED, BASKETS, PRODUCT_NAMES, BY_STATUS, BY_PRODUCT, BY_CUSTOMER, CONFIRMATIONS),
    wakes=(
        orders.OrderCreated, orders.OrderImported, orders.OrderUpdated, orders.OrderCancellationRequested,
        orders.OrderCancelled, orders.OrderConfirmed, orders.OrderFailed, orders.OrderShipped, orders.OrderDelivered,
        orders.OrderImportCorrected, orders.OrderImportUndone, orders.OrderHeld, orders.OrderReleased,
        orders.OrderEdited, fulfillment.RunStarted, payments.ProviderReported, payments.ProviderUpdated,
    ),
    # the end of its order follows and wakes the projection (docs/decisions/0003-what-wakes-the-projection.md)
    also=(payments.PaymentRefunded,),
    feed=feed,
)  # fmt: skip
