"""Typed answers of routes: `Answer[Body]` and `CommandAnswer[Body]`, where Body is a TypedDict.

A route builds its answer from the TypedDict and names it in its return annotation. Nothing is validated when it is
sent: the type checker holds the code to the type, and services/kit/rest/openapi.py makes the document from it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from services.kit.commands.outcome import Outcome
from services.kit.domain.instants import instant_text
from services.kit.wire.asgi import VERSION

__all__ = [
    "ETAG",
    "Answer",
    "CommandAnswer",
    "Count",
    "FieldProblem",
    "Instant",
    "Money",
    "PositionText",
    "Positive",
    "command_answer",
    "location",
]

Body = TypeVar("Body", bound=Mapping[str, object])

_json = json.JSONEncoder(default=instant_text, ensure_ascii=False, separators=(",", ":")).encode

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Instant = Annotated[datetime, Field(examples=["2026-11-23T12:00:00Z"])]
PositionText = Annotated[
    str,
    Field(
        description="The place of the command's events in the event store. A query with this `position` sees them.",
        examples=["00010000000002f1"],
    ),
]


class Money(TypedDict):
    """An exact amount of money."""

    amount: Annotated[str, Field(pattern=r"^-?[0-9]+(\.[0-9]+)?$", examples=["12.50"])]
    """An exact decimal as text, with the decimals of the currency's minor unit, and more only if they are not 0."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", examples=["GBP"])]
    """The ISO 4217 code."""


class FieldProblem(TypedDict):
    """The error of one field."""

    field: str
    code: str
    detail: str


class Answer(Response, Generic[Body]):
    """A JSON answer whose body has the type `Body`."""

    media_type = "application/json"

    def __init__(self, body: Body, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(_json(body), status, headers)


class CommandAnswer(Answer[Body]):
    """The answer to a command: `Body` with the command's `position`, and the stream's version as ETag."""


def command_answer(
    status: int, body: Body, outcome: Outcome[Any], headers: Mapping[str, str] | None = None
) -> CommandAnswer[Body]:
    """The answer to a command: `body` with the position and the version that it came to.

    A path in the header `Location` is given without the version of the interface, which is added here.
    """
    placed: Any = {**body, "position": str(outcome.position)}
    more = {name: VERSION + value if name == "Location" else value for name, value in (headers or {}).items()}
    if outcome.repeated is not None:
        more["Idempotent-Replayed"] = "true"
    return CommandAnswer(placed, status, {**more, "ETag": f'"{outcome.version}"'})


ETAG: Mapping[str, Any] = {
    "ETag": {
        "description": 'The version, for `If-Match`, such as `"3"`.',
        "required": True,
        "schema": {"type": "string"},
    }
}
"""The header of answers that carry a version; `responses={200: {"headers": ETAG}}` adds it to a query's answer."""


def location(status: int, of: str, *, read_side: bool = True) -> dict[int | str, dict[str, Any]]:
    """The header Location of a route's answer, for its `responses`."""
    waits = " with the position of the command: a GET waits until it sees what the command did" if read_side else ""
    header = {"description": f"The address of {of}{waits}.", "required": True, "schema": {"type": "string"}}
    return {status: {"headers": {"Location": header}}}
