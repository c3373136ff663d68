"""What the commands of inventory answer, for the OpenAPI document."""

from __future__ import annotations

from services.kit.rest.openapi import COUNT, TEXT, Responses, command_answer

__all__ = ["ADJUSTED", "COUNTED"]

COUNTED: Responses = {
    200: command_answer("So much is on the shelf.", "Counted", {"product_id": TEXT, "on_hand": COUNT})
}
ADJUSTED: Responses = {
    201: command_answer(
        "So much more, or less, is on the shelf.", "Adjusted", {"product_id": TEXT, "delta": {"type": "integer"}}
    )
}
