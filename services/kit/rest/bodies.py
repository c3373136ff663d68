"""The base of request bodies."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["RequestBody"]


class RequestBody(BaseModel):
    """A request body, or a part of one, that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid")
