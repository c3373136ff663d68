"""Errors as application/problem+json (RFC 9457): the one place where our error tree meets HTTP statuses."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from services.kit.domain.errors import (
    FieldError,
    Forbidden,
    IdempotencyKeyReused,
    Invalid,
    NotFound,
    RateLimited,
    RuleViolation,
    Unauthenticated,
    Unavailable,
    Unreadable,
    VersionMismatch,
    ZerocartError,
)
from services.kit.wire.asgi import TooLarge, TooLong, TooManyHeaders, TooSlow, UnsupportedType

__all__ = ["RESPONSES", "described", "headers_of", "problem", "status_of"]

ERRORS_MAX = 100
"""Fields of which an answer says what is wrong with them; there may be more."""
FIELD_CHARS_MAX = 200
CHALLENGE = 'Bearer realm="zerocart"'

_SCHEMA: Mapping[str, object] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "description": "For programs; it does not change."},
        "detail": {"type": "string", "description": "For people."},
        "errors": {
            "type": "array",
            "description": "What is wrong, field by field.",
            "items": {
                "type": "object",
                "required": ["field", "code", "detail"],
                "properties": {"field": {"type": "string"}, "code": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": description, "content": {"application/problem+json": {"schema": _SCHEMA}}}
    for status, description in (("4XX", "The request is refused."), ("5XX", "It cannot be done now; ask again."))
}
"""What every route may answer beside its own, as OpenAPI describes it."""

_STATUS: Sequence[tuple[type[ZerocartError], int]] = (  # the most particular first
    (TooSlow, 408),
    (TooLarge, 413),
    (TooLong, 414),
    (TooManyHeaders, 431),
    (UnsupportedType, 415),
    (Unreadable, 400),
    (Invalid, 422),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (RuleViolation, 409),
    (VersionMismatch, 412),
    (IdempotencyKeyReused, 422),
    (RateLimited, 429),
    (Unavailable, 503),
)


def status_of(error: ZerocartError) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def headers_of(error: ZerocartError) -> Mapping[str, str]:
    """The headers that an error needs."""
    match error:
        case Unavailable():
            return {"Retry-After": str(error.retry_after_seconds)}
        case Unauthenticated():
            return {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"' if error.asked else CHALLENGE}
        case TooSlow():
            return {"Connection": "close"}  # what is still to come of the body is nobody's next request
        case Forbidden():
            return {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{error.needed}"'}
        case _:
            return {}


def problem(
    status: int,
    code: str,
    detail: str,
    fields: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A problem+json answer; `errors` has one entry per field that is wrong."""
    body = json.dumps(described(status, code, detail, fields))
    return Response(body, status_code=status, headers=dict(headers or {}), media_type="application/problem+json")


def described(status: int, code: str, detail: str, fields: Sequence[FieldError] = ()) -> dict[str, object]:
    """The members of a problem."""
    content: dict[str, object] = {
        "type": f"urn:zerocart:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
    }
    if fields:  # an answer is not to be many times as long as what it answers
        told = [{"field": f.field[:FIELD_CHARS_MAX], "code": f.code, "detail": f.detail} for f in fields[:ERRORS_MAX]]
        content["errors"] = told
    return content
