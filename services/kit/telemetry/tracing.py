"""W3C trace context (www.w3.org/TR/trace-context), carried through REST, the event store and CloudEvents.

The context is carried always. Spans are made only where they are exported (`kit/telemetry/export.py`): elsewhere
`span` costs a look at a variable, and OpenTelemetry is not imported.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, Protocol

__all__ = [
    "NO_SPAN",
    "TRACE",
    "Exporter",
    "Kind",
    "Span",
    "child",
    "close",
    "current",
    "export_to",
    "new_trace",
    "span",
]

_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})")

TRACE: ContextVar[str] = ContextVar("traceparent", default="")
"""The traceparent of this task; empty outside a request."""

Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span(Protocol):
    """One operation of a trace; attributes hold no personal data."""

    @property
    def traceparent(self) -> str:
        """As others are told of it."""
        ...

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""
        ...

    def rename(self, name: str) -> None:
        """Rename the span."""
        ...

    def end(self, error: BaseException | None) -> None:
        """End the span."""
        ...


class Exporter(Protocol):
    """Receives finished spans."""

    def start(self, name: str, kind: Kind, parent: str) -> Span:
        """Begin a span in the trace of `parent`, or in a new one if that is not a traceparent."""
        ...

    async def close(self) -> None:
        """Export the rest and stop."""
        ...


class _NoSpan:
    traceparent = ""

    def set(self, name: str, value: str | int) -> None: ...

    def rename(self, name: str) -> None: ...

    def end(self, error: BaseException | None) -> None: ...


NO_SPAN: Span = _NoSpan()
_exporters: list[Exporter] = []


def export_to(exporter: Exporter) -> None:
    """Start making spans, for this exporter."""
    _exporters[:] = [exporter]


async def close() -> None:
    """Export the finished spans and stop making spans."""
    while _exporters:
        await _exporters.pop().close()


@contextmanager
def span(name: str, kind: Kind = "internal", parent: str | None = None) -> Generator[Span]:
    """Do something within a span; with `parent`, what comes from outside begins there, in that trace or a new one."""
    if not _exporters:
        if parent is not None:
            TRACE.set(child(parent))
        yield NO_SPAN
        return
    own = _exporters[0].start(name, kind, current_or(parent))
    token = TRACE.set(own.traceparent)
    try:
        yield own
    except BaseException as error:
        own.end(error)
        raise
    else:
        own.end(None)
    finally:
        if parent is None:
            TRACE.reset(token)


def current_or(parent: str | None) -> str:
    """`parent`, or if that is not given the traceparent of this task."""
    return TRACE.get() if parent is None else parent


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
