"""What the command of shipping answers, for the OpenAPI document."""

from __future__ import annotations

from services.kit.answers import TEXT, Responses, command_answer, one_of

__all__ = ["TRACKED"]

TRACKED: Responses = {
    202: command_answer("It is noted.", "Tracked", {"order_id": TEXT, "status": one_of("dispatched", "delivered")})
}
