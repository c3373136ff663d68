"""Every error that a service raises on purpose; `services.kit.rest.problems` maps the tree to HTTP once.

ZerocartError
├── Invalid        the caller sent something wrong, field by field
│   └── Unreadable the bytes are no message at all
├── Unauthenticated nobody knows who is asking
├── Forbidden      the one who asks may not
├── NotFound       there is no such thing (for this caller)
├── RuleViolation        a rule of business says no; `code` is the decider's
├── VersionMismatch          If-Match names a version that is no longer the newest
├── IdempotencyKeyReused      an Idempotency-Key came back with another request
└── Unavailable    a dependency is away or we are full: try again later
    └── RateLimited   the caller tries something that pays to be tried often: try again later
"""

from __future__ import annotations

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
    """What is wrong with one field; `field` is a path such as `items.0.quantity`."""

    field: str
    code: str
    detail: str


class ZerocartError(Exception):
    """Base of all; `code` is stable and for programs, `detail` is for people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Invalid(ZerocartError):
    """The request was understood and is wrong; `fields` says where."""

    def __init__(self, code: str, detail: str, fields: tuple[FieldError, ...] = ()) -> None:
        super().__init__(code, detail)
        self.fields = fields


class Unreadable(Invalid):
    """The bytes could not be read as what they claim to be."""


class Unauthenticated(ZerocartError):
    """The request has no token that can be believed; `asked` if it had one at all (RFC 6750, 3.1)."""

    def __init__(self, code: str, detail: str, *, asked: bool = True) -> None:
        super().__init__(code, detail)
        self.asked = asked


class Forbidden(ZerocartError):
    """The token is believed and lacks the scope `needed`."""

    def __init__(self, needed: str) -> None:
        super().__init__("insufficient-scope", f"this needs the scope {needed}")
        self.needed = needed


class NotFound(ZerocartError):
    """There is no such thing."""


class RuleViolation(ZerocartError):
    """A rule of business says no."""


class VersionMismatch(ZerocartError):
    """The caller saw an older version than the one that is there."""


class IdempotencyKeyReused(ZerocartError):
    """The same Idempotency-Key came with another request."""


class Unavailable(ZerocartError):
    """A dependency is away, or there is too much to do; nothing was half done."""

    def __init__(self, code: str, detail: str, retry_after_seconds: int = 1) -> None:
        super().__init__(code, detail)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(Unavailable):
    """The caller has to wait before trying this again."""
