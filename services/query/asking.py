"""What all questions have in common: no unknown parameter, and an answer that knows of what the caller has written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.dependencies.models import Dependant

from services.kit.errors import FieldError, Invalid
from services.kit.log import POSITION_PATTERN, Position

__all__ = ["level_with", "wrong"]

Token = Annotated[
    str | None,
    Query(
        alias="position",
        pattern=POSITION_PATTERN,
        description="The `position` of a command's answer: this answer then knows of it. 503 if that takes too long.",
        examples=["0001.00000000000002e5.0000000000000011"],
    ),
]


def level_with(wait_for: Callable[[Position, Sequence[str]], Awaitable[None]], views: Sequence[str]) -> Any:
    """A dependency that refuses unknown parameters and waits until these views are where the caller has been."""

    async def level(request: Request, token: Token = None) -> None:
        _known_only(request)
        if token is not None:
            await wait_for(_position(token), views)

    return Depends(level)


def wrong(field: str, detail: str) -> Invalid:
    """The refusal of one parameter."""
    return Invalid("bad-parameter", detail, (FieldError(field, "invalid", detail),))


def _known_only(request: Request) -> None:
    known = set(_parameters(request.scope["route"].dependant))
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        raise Invalid(
            "unknown-parameter",
            f"unknown: {', '.join(unknown)}",
            tuple(FieldError(name, "unknown", "there is no such parameter") for name in unknown),
        )


def _parameters(dependant: Dependant) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for one in dependant.dependencies:
        yield from _parameters(one)


def _position(token: str) -> Position:
    try:
        return Position.parse(token)
    except ValueError as error:
        raise wrong("position", "this is not a position that we gave") from error
