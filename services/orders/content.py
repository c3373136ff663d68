"""Rules that placed and imported orders share."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from services.contracts.orders import OrderDetails, PricedFields
from services.kit.domain.decider import Rejected
from services.orders.order import ContentCommand, Import

__all__ = ["placed_in_future", "with_content"]

D = TypeVar("D", bound=OrderDetails)


def with_content(kind: type[D], command: ContentCommand | Import, priced: PricedFields, **more: str | None) -> D:
    """The event `kind` with every field that the command brings."""
    return kind.of(command.fields, order_id=command.order_id, **dict(priced), **more)


def placed_in_future(placed_at: datetime | None, now: datetime) -> Rejected | None:
    if placed_at is not None and placed_at > now:
        return Rejected(
            "placed-in-future", f"`placed_at` must not be after {now:%Y-%m-%dT%H:%M:%SZ}.", field="placed_at"
        )
    return None
