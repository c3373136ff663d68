"""Counts the uses of coupons that have a limit, in the transaction that records the order or its end."""

from __future__ import annotations

from services.kit.eventstore.port import Transaction
from services.orders.shop_rules import Coupon

__all__ = ["give_back", "take"]

TAKE = """
    WITH taken AS (
        INSERT INTO coupons AS known (code, uses)
        SELECT $2, 1 WHERE NOT EXISTS (SELECT FROM coupons WHERE code = $2 AND uses >= $3)
        ON CONFLICT (code) DO UPDATE SET uses = known.uses + 1 WHERE known.uses < $3
        RETURNING code
    )
    INSERT INTO coupon_uses (order_id, code) SELECT $1, code FROM taken RETURNING code
"""
GIVE_BACK = """
    WITH given AS (DELETE FROM coupon_uses WHERE order_id = $1 RETURNING code)
    UPDATE coupons SET uses = coupons.uses - 1 FROM given WHERE coupons.code = given.code
"""


async def take(transaction: Transaction, order_id: str, coupon: Coupon | None) -> bool:
    """Take a use for an order, if the coupon has a limit; False if none is left.

    The row of the coupon stays locked until the transaction ends, so call this last before the append. Once no use is
    left, nobody waits for the row.
    """
    if coupon is None or coupon.uses_max is None:
        return True
    return bool(await transaction.fetch(TAKE, order_id, coupon.code.casefold(), coupon.uses_max))


async def give_back(transaction: Transaction, order_id: str) -> None:
    """Give back the use that an order has taken, if it has."""
    await transaction.execute(GIVE_BACK, order_id)
