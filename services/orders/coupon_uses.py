"""Counts the uses of coupons that have a limit, in the transaction that records the order or its end."""

from __future__ import annotations

from services.kit.eventstore.port import Transaction
from services.orders.shop_rules import Coupon

__all__ = ["give_back", "take"]

TAKE = """
    INSERT INTO coupons AS known (code, uses)
    SELECT $1, 1 WHERE NOT EXISTS (SELECT FROM coupons WHERE code = $1 AND uses >= $2)
    ON CONFLICT (code) DO UPDATE SET uses = known.uses + 1 WHERE known.uses < $2
    RETURNING uses
"""
REMEMBER = "INSERT INTO coupon_uses (order_id, code) VALUES ($1, $2)"
GIVE_BACK = """
    WITH given AS (DELETE FROM coupon_uses WHERE order_id = $1 RETURNING code)
    UPDATE coupons SET uses = coupons.uses - 1 FROM given WHERE coupons.code = given.code
"""


async def take(transaction: Transaction, order_id: str, coupon: Coupon | None) -> bool:
    """Take a use for an order, if the coupon has a limit; False if none is left.

    The lock of the row orders those that take a use; once none is left, nobody waits for it.
    """
    if coupon is None or coupon.uses_max is None:
        return True
    code = coupon.code.casefold()
    if not await transaction.fetch(TAKE, code, coupon.uses_max):
        return False
    await transaction.execute(REMEMBER, order_id, code)
    return True


async def give_back(transaction: Transaction, order_id: str) -> None:
    """Give back the use that an order has taken, if it has."""
    await transaction.execute(GIVE_BACK, order_id)
