"""The table of the view `audit`: which person or program changed what, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from services.read_model.table import About, Id, Instant, Table, Text

__all__ = ["AUDIT", "ActorKind", "AuditEntry"]

ActorKind = Literal["staff", "customer", "guest", "client"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One event that a request of a person or program caused; `data` is JSON, without personal data."""

    position: Annotated[Id, About("The place of the event in the event store.", example="00010000000002f1")]
    event_id: Annotated[Text, About("The id of the event.", example="order-ord_iwc61wrq2spsmypx929bhj947yw:3")]
    time: Annotated[Instant, About("When it happened.")]
    actor_kind: Annotated[
        Id,
        About(
            "Who did it. `staff` and `customer` have accounts, `guest` has a token for a visit or a mailed link. "
            "`client` is a program, or somebody with a token of another issuer.",
            one_of=get_args(ActorKind),
        ),
    ]
    actor: Annotated[
        Id | None,
        About(
            "The id of the account, guest or program; null if the id is no printable ASCII text without `%` and `@`.",
            example="usr_01jd8xk3v5e6s7t8w9x0y1z2a3",
        ),
    ]
    type: Annotated[Id, About("The type of the event.", example="zerocart.orders.order.held.v1")]
    subject: Annotated[
        Id,
        About("The id of the changed order, product, account or endpoint.", example="ord_iwc61wrq2spsmypx929bhj947yw"),
    ]
    service: Annotated[Text, About("The service that accepted the request.", example="orders")]
    trace_id: Annotated[
        Text | None,
        About(
            "The trace of the request (W3C Trace Context), as logs have it.", example="4bf92f3577b34da6a3ce929d0e0e4736"
        ),
    ]
    data: Annotated[Text | None, About(answered="")]


AUDIT = Table(
    "audit", "audit", AuditEntry, ("position",),
    indexes={
        "audit_by_time": "(time, position)",
        "audit_by_actor": "(actor, time, position)",
        "audit_by_subject": "(subject, time, position)",
    },
)  # fmt: skip
