"""What payments answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.schemas_by_hand import TEXT, Responses, Schema, json_answer, one_of, optional, shape

__all__ = ["PAYMENT"]

_AMOUNT = shape(
    "PaidAmount",
    {
        "amount": {**TEXT, "description": "Exact, in the decimals of the currency.", "examples": ["12.50"]},
        "currency": {**TEXT, "description": "ISO 4217.", "examples": ["GBP"]},
    },
)
_MEMBERS: dict[str, Schema] = {
    "order_id": TEXT,
    "status": one_of("none", "authorized", "captured", "declined", "voided", "refunded"),
    "transaction_id": {**optional(TEXT), "description": "The provider's; null where nothing was ever held."},
    "amount": _AMOUNT,
    "refunded": {**optional(_AMOUNT), "description": "What was given back."},
    "reason": {**TEXT, "description": "Why it was declined."},
}

PAYMENT: Responses = {
    200: json_answer("The payment.", shape("Payment", _MEMBERS, set(_MEMBERS) - {"order_id", "status"}))
}
