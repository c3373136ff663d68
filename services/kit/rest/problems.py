"""Errors as application/problem+json (RFC 9457): the one place that maps the error tree to HTTP statuses."""

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
    NotInstalled,
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
"""The maximum number of fields that an answer names."""
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
        "code": {"type": "string", "description": "Stable; for programs."},
        "detail": {"type": "string", "description": "For people."},
        "errors": {
            "type": "array",
            "description": "The errors by field.",
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
    for status, description in (
        ("4XX", "The request is refused."),
        ("5XX", "The service cannot do it now: send the request again after Retry-After."),
    )
}
"""The errors that every route may answer, for OpenAPI."""

_STATUS: Sequence[tuple[type[ZerocartError], int]] = (  # subclasses first
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
    (NotInstalled, 501),
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
        case VersionMismatch():
            return {"ETag": f'"{error.version}"'}
        case Unauthenticated():
            return {"WWW-Authenticate": f'{CHALLENGE}, error="invalid_token"' if error.has_token else CHALLENGE}
        case TooSlow():
            return {"Connection": "close"}  # the rest of the body must not be read as the next request
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
    more: Mapping[str, object] | None = None,
) -> Response:
    """A problem+json answer; `errors` has one entry for each wrong field, `more` are members of this one kind."""
    body = json.dumps({**described(status, code, detail, fields), **(more or {})})
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
    if fields:  # bounded, so that a small request cannot get a huge answer
        told = [{"field": f.field[:FIELD_CHARS_MAX], "code": f.code, "detail": f.detail} for f in fields[:ERRORS_MAX]]
        content["errors"] = told
    return content
