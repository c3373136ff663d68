"""What operations answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import (
    COUNT,
    INSTANT,
    TEXT,
    Responses,
    Schema,
    json_answer,
    list_of,
    one_of,
    shape,
)

__all__ = ["DISCARDED", "LETTER", "LETTERS", "PARKED", "PARKED_AGAIN", "REPLAYED", "REPLAYED_MANY"]

_LETTER: dict[str, Schema] = {
    "id": TEXT,
    "source": TEXT,
    "event_id": TEXT,
    "type": {**TEXT, "examples": ["zerocart.orders.order.created.v1"]},
    "subject": TEXT,
    "destination": {**TEXT, "description": "Who did not take it."},
    "error_code": {**TEXT, "description": "The HTTP status with which it was refused."},
    "error_data": TEXT,
    "deliveries": {**COUNT, "description": "How often it came here."},
    "status": one_of("waiting", "replayed", "discarded"),
    "reason": TEXT,
    "first_at": INSTANT,
    "last_at": INSTANT,
    "attributes": {"type": "object", "description": "Of the CloudEvent.", "additionalProperties": TEXT},
}
_AGAIN = shape(
    "Replayed",
    {"id": TEXT, "type": TEXT, "subject": TEXT, "replayed": {"type": "boolean", "description": "Not if dry."}},
)
_PARKED: dict[str, Schema] = {
    "service": TEXT,
    "key": TEXT,
    "attempts": COUNT,
    "last_error": TEXT,
    "last_at": INSTANT,
}

LETTERS: Responses = {
    200: json_answer("The letters.", shape("DeadLetters", {"dead_letters": list_of(shape("DeadLetter", _LETTER))}))
}
LETTER: Responses = {
    200: json_answer(
        "The letter.", shape("WholeDeadLetter", {**_LETTER, "data": {**TEXT, "description": "As it was."}})
    )
}
REPLAYED: Responses = {200: json_answer("It is handed in, or would be.", _AGAIN)}
REPLAYED_MANY: Responses = {
    200: json_answer("They are handed in, or would be.", shape("ReplayedMany", {"dead_letters": list_of(_AGAIN)}))
}
DISCARDED: Responses = {
    200: json_answer("It is given up.", shape("Discarded", {"id": TEXT, "status": one_of("discarded"), "reason": TEXT}))
}
PARKED: Responses = {
    200: json_answer("The messages.", shape("ParkedMessages", {"parked": list_of(shape("Parked", _PARKED))}))
}
PARKED_AGAIN: Responses = {
    200: json_answer(
        "It is handed in.", shape("ParkedAgain", {"service": TEXT, "key": TEXT, "replayed": {"const": True}})
    )
}
