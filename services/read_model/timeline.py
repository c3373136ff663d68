"""The table of the view `timeline`: what happened to each order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from services.read_model.table import About, Id, Instant, Table, Text

__all__ = ["TIMELINE", "TimelineEntry"]


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """What one event did to an order, and who caused it.

    `who` acted. If a service or a provider acted, `on_behalf_of` says who had requested it. `by` is the id of the
    requester; only staff see it. Events from before December 2026 do not name the requester.
    """

    order_id: Annotated[Id, About(answered="")]
    position: Annotated[Id, About(answered="")]
    time: Instant
    service: Text
    type: Annotated[Text, About(example="zerocart.orders.order.created.v1")]
    who: Annotated[Text, About("Who did it, such as `customer`, `program` or `zerocart`.", example="customer")]
    on_behalf_of: Annotated[Text | None, About("Who had requested it, if a service or a provider did it.")]
    by: Annotated[Id | None, About("The id of the requester; null without the scope `orders:admin`.")]
    words: Annotated[Text, About("What happened, as a sentence.", answered="text")]
    why: Text | None


TIMELINE = Table("timeline", "timeline", TimelineEntry, ("order_id", "position"))
