"""W3C trace context (www.w3.org/TR/trace-context), carried through REST, the log and CloudEvents."""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

__all__ = ["TRACE", "child", "current", "new_trace"]

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")

TRACE: ContextVar[str] = ContextVar("traceparent", default="")
"""The traceparent of what this task is doing; empty outside a request."""


def new_trace() -> str:
    """A traceparent that begins a new, sampled trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child(traceparent: str | None) -> str:
    """A new span in the given trace, or in a new one if what is given is not a traceparent."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    if match is None:
        return new_trace()
    return f"00-{match[1]}-{secrets.token_hex(8)}-{match[2]}"


def current() -> str:
    """The traceparent of this task, a new one if it has none."""
    return TRACE.get() or new_trace()
