"""What fulfillment answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import (
    COUNT,
    INSTANT,
    TEXT,
    Responses,
    Schema,
    command_answer,
    json_answer,
    list_of,
    one_of,
    optional,
    shape,
)

__all__ = ["RESUMED", "RUN"]

_WORK: dict[str, Schema] = {
    "status": one_of("not_started", "in_progress", "retrying", "unknown", "refused", "done", "compensated"),
    "attempts": COUNT,
    "started_at": optional(INSTANT),
    "ended_at": optional(INSTANT),
    "error_code": optional(TEXT),
    "error": optional(TEXT),
    "data": {"type": "object", "description": "What the step brought, such as a tracking number."},
}
_STEP = shape(
    "Step",
    {
        "name": {**TEXT, "examples": ["reserve_inventory"]},
        **_WORK,
        "compensation": {
            **optional(shape("Compensation", _WORK)),
            "description": "How it was undone, if it had to be.",
        },
    },
)
_RUN: dict[str, Schema] = {
    "order_id": TEXT,
    "status": one_of("not_started", "started", "completed", "compensating", "compensated", "failed", "stuck"),
    "cause": {**optional(one_of("failed", "cancelled")), "description": "Why it is being, or was, undone."},
    "error_code": optional(TEXT),
    "error": optional(TEXT),
    "steps": list_of(_STEP),
    "started_at": INSTANT,
    "updated_at": INSTANT,
}

RUN: Responses = {200: json_answer("The run.", shape("Fulfillment", _RUN, ("started_at", "updated_at")))}
RESUMED: Responses = {
    202: command_answer("It goes on.", "Resumed", {"order_id": TEXT, "status": one_of("compensating")})
}
