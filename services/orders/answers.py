"""What the commands of orders answer, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import TEXT, Responses, Schema, command_answer, one_of

__all__ = ["AMENDED", "CANCELLED", "PLACED", "REDRAFTED", "SUBMITTED"]

_ORDER = "The address of the order."
_ID: Schema = {**TEXT, "examples": ["ord_iwc61wrq2spsmypx929bhj947yw"]}
_TAKEN_IN: dict[str, Schema] = {
    "order_id": _ID,
    "status": one_of("pending"),
    "estimated_processing_time": {
        "type": "string",
        "format": "duration",
        "description": "ISO 8601.",
        "examples": ["PT1M"],
    },
}
_DRAFT: dict[str, Schema] = {"order_id": _ID, "status": one_of("draft")}

PLACED: Responses = {
    201: command_answer("A draft was begun: it waits for `submit`.", "Drafted", _DRAFT, location=_ORDER),
    202: command_answer("The order is taken in; how it goes on, `GET` says.", "Placed", _TAKEN_IN, location=_ORDER),
}
REDRAFTED: Responses = {200: command_answer("The draft is as it was sent.", "Drafted", _DRAFT, location=_ORDER)}
SUBMITTED: Responses = {202: command_answer("The order is taken in.", "Placed", _TAKEN_IN, location=_ORDER)}
AMENDED: Responses = {202: command_answer("It is changed.", "Amended", {"order_id": _ID}, location=_ORDER)}
CANCELLED: Responses = {
    202: command_answer(
        "It is being cancelled, and what was done for it undone.",
        "Cancelling",
        {"order_id": _ID, "status": one_of("cancelling")},
        location=_ORDER,
    )
}
