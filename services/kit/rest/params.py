"""Query parameters that several services share: the position to wait for, ids in paths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Protocol

from fastapi import Depends, Path, Query, Request

from services.kit.domain.errors import FieldError, Invalid
from services.kit.eventstore.port import POSITION_PATTERN, Position

__all__ = ["PRINTABLE", "at_position", "id_in_path", "in_query", "position_of", "wrong"]

PRINTABLE = r"^[ -~]+$"
"""The characters of ids; Postgres does not accept some others, such as NUL."""

_Token = Annotated[
    str | None,
    Query(
        alias="position",
        json_schema_extra={"pattern": POSITION_PATTERN},
        description="The `position` in the answer to a command: this answer then shows the effect of the command. 503 "
        "if the read database does not reach the position within some seconds: send the request again.",
        examples=["00010000000002f1"],
    ),
]


def id_in_path(description: str, example: str) -> Any:
    """A path parameter that is an id."""
    return Path(max_length=64, pattern=PRINTABLE, description=description, examples=[example])


def in_query(description: str, example: object, **constraints: Any) -> Any:
    """A query parameter, with the constraints that FastAPI's `Query` has."""
    return Query(description=description, examples=[example], **constraints)


class Waits(Protocol):
    """An object that can wait until views have reached a position."""

    async def wait_for(self, position: Position, views: Sequence[str]) -> None:
        """Return when these views have reached `position`; Unavailable if that takes too long."""
        ...


def at_position(kind: type[Waits], *views: str) -> Any:
    """A dependency that waits until these views have reached the caller's `position`.

    The object of class `kind` that the service was given waits.
    """

    async def wait(request: Request, token: _Token = None) -> None:
        if token is not None:
            reader: Waits = request.app.state.provided[kind]
            await reader.wait_for(position_of(token), views)

    return Depends(wait)


def wrong(field: str, detail: str) -> Invalid:
    """The error for one parameter."""
    return Invalid("bad-parameter", detail, (FieldError(field, "invalid", detail),))


def position_of(token: str) -> Position:
    """The position that a client sends; Invalid if no answer can have had it."""
    try:
        return Position.parse(token)
    except ValueError as error:
        detail = "No answer can have had this position. Send the one of an answer unchanged, or leave it out."
        raise wrong("position", detail) from error
