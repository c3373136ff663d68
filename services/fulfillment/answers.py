"""What the command of fulfillment answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.answers import TEXT, Responses, command_answer, one_of

__all__ = ["RESUMED"]

RESUMED: Responses = {
    202: command_answer("It goes on.", "Resumed", {"order_id": TEXT, "status": one_of("compensating")})
}
