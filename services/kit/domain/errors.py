"""The errors that a service raises on purpose; `services.kit.rest.problems` maps them to HTTP.

ZerocartError
├── Invalid               the request has invalid fields
│   └── Unreadable        the body cannot be parsed
├── Unauthenticated       the request has no valid token
├── Forbidden             the token lacks a scope
├── NotFound              the resource does not exist, or not for this caller
├── RuleViolation         a business rule refuses the request; `code` is the decider's
├── VersionMismatch       If-Match names a version that is not the newest
├── IdempotencyKeyReused  the Idempotency-Key was used for another request
├── NotInstalled          the installation lacks packages that the request needs
└── Unavailable           a dependency is away or the service is overloaded: retry later
    └── RateLimited       the caller exceeds its rate: retry later
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = [
    "FieldError",
    "Forbidden",
    "IdempotencyKeyReused",
    "Invalid",
    "NotFound",
    "RateLimited",
    "RuleViolation",
    "Unauthenticated",
    "Unavailable",
    "Unreadable",
    "VersionMismatch",
    "ZerocartError",
]


@dataclass(frozen=True, slots=True)
class FieldError:
    """The fault of one field; `field` is a path such as `items.0.quantity`."""

    field: str
    code: str
    detail: str


class ZerocartError(Exception):
    """The base of all errors; `code` is stable and for programs, `detail` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Invalid(ZerocartError):
    """The request is invalid; `fields` names the faults."""

    def __init__(self, code: str, detail: str, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(code, detail)
        self.fields = fields


class Unreadable(Invalid):
    """The body cannot be parsed."""


class Unauthenticated(ZerocartError):
    """The request has no valid token; `has_token` is False if it has none at all (RFC 6750, 3.1)."""

    def __init__(self, code: str, detail: str, *, has_token: bool = True) -> None:
        super().__init__(code, detail)
        self.has_token = has_token


class Forbidden(ZerocartError):
    """The token is valid and lacks the scope `needed`; `fields` need it, or the whole request if there are none."""

    def __init__(self, needed: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__("insufficient-scope", f"{fields[0] if fields else 'This request'} needs the scope {needed}.")
        self.needed = needed
        self.fields = tuple(FieldError(field, self.code, f"{field} needs the scope {needed}.") for field in fields)


class NotFound(ZerocartError):
    """The resource does not exist, or not for this caller."""


class RuleViolation(ZerocartError):
    """A business rule refuses the request; `more` are further members of the answer."""

    def __init__(self, code: str, detail: str, more: Mapping[str, object] | None = None) -> None:
        super().__init__(code, detail)
        self.more = more or {}


class VersionMismatch(ZerocartError):
    """If-Match names a version that is not the newest, which is `version`."""

    def __init__(self, version: int) -> None:
        detail = f'The version is {version} now. Read it again, then repeat the change with If-Match: "{version}".'
        super().__init__("version-mismatch", detail)
        self.version = version


class IdempotencyKeyReused(ZerocartError):
    """The Idempotency-Key was used for another request."""


class NotInstalled(ZerocartError):
    """The request needs packages that this installation does not have; `detail` names the command that adds them."""


class Unavailable(ZerocartError):
    """A dependency is away or the service is overloaded; nothing is half done, so a retry is safe."""

    def __init__(self, code: str, detail: str, retry_after_seconds: int = 1) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Unavailable):
    """The caller exceeds its rate and must wait for `retry_after_seconds`."""
