"""W3C trace context (www.w3.org/TR/trace-context), carried through REST, the event store and CloudEvents.

The context is carried always. Spans are made only where they are exported (`kit/telemetry/export.py`): elsewhere
`span` only reads a variable, and OpenTelemetry is not imported.
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
    "TRACESTATE_CHARS_MAX",
    "Exporter",
    "Kind",
    "Span",
    "attributes",
    "child",
    "close",
    "current",
    "export_to",
    "new_trace",
    "span",
]

_TRACEPARENT = re.compile(r"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(r"([a-z0-9][a-z0-9_*/@-]{0,255})=[ -+\--<>-~]{0,255}[!-+\--<>-~]")
FLAGS = 0b11
"""The flags of version 00 that have a meaning: sampled, and random."""
SAMPLED = 0b01
MEMBERS_MAX = 32
TRACESTATE_CHARS_MAX = 512
"""A longer tracestate loses its longest members first; it is stored with each event."""

TRACE: ContextVar[str] = ContextVar("traceparent", default="")
"""The traceparent of this task; empty outside a request."""
_STATE: ContextVar[str] = ContextVar("tracestate", default="")

Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span(Protocol):
    """One operation of a trace; attributes hold no personal data."""

    @property
    def traceparent(self) -> str:
        """The value of the traceparent header (W3C Trace Context, section 3.2)."""
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

    def start(self, name: str, kind: Kind, parent: str, state: str) -> Span:
        """Begin a span in the trace of `parent`, with that tracestate, or in a new trace if `parent` is empty."""
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
def span(name: str, kind: Kind = "internal", parent: str | None = None, state: str = "") -> Generator[Span]:
    """Do something within a span.

    With `parent`, the traceparent that came from outside, and `state`, its tracestate, the task continues that trace;
    an invalid traceparent begins a new one.
    """
    if parent is not None:
        parent = _continued(parent)
        _STATE.set(_carried(state) if parent else "")
    if not _exporters:
        if parent is not None:
            TRACE.set(child(parent))
        yield NO_SPAN
        return
    own = _exporters[0].start(name, kind, TRACE.get() if parent is None else parent, _STATE.get())
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


def new_trace() -> str:
    """A traceparent that begins a new, sampled trace."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def child(traceparent: str | None) -> str:
    """A new span in the given trace, or in a new one if what is given is not a traceparent."""
    parent = _continued(traceparent or "")
    return f"{parent[:36]}{secrets.token_hex(8)}{parent[52:]}" if parent else new_trace()


def current() -> str:
    """The traceparent of this task, a new one if it has none."""
    return TRACE.get() or new_trace()


def attributes() -> dict[str, str]:
    """The trace of this task as attributes of a CloudEvent (extension Distributed Tracing)."""
    state = _STATE.get()
    return {"traceparent": current(), **({"tracestate": state} if state else {})}


def _continued(traceparent: str) -> str:
    """A traceparent of any version as one of version 00; empty if it is invalid (W3C Trace Context, 3.2 and 4.3)."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[4]):
        return ""
    known = FLAGS if match[1] == "00" else SAMPLED
    return f"00-{match[2]}-{int(match[3], 16) & known:02x}"


def _carried(tracestate: str) -> str:
    """The members of a tracestate that are passed on; empty if it is invalid (W3C Trace Context, 3.3).

    A member with `%` is left out, because Knative's Kafka broker changes it.
    """
    members = [member for part in tracestate.split(",") if (member := part.strip(" \t"))]
    keys = {match[1] for member in members if (match := _MEMBER.fullmatch(member))}
    if not len(keys) == len(members) <= MEMBERS_MAX:
        return ""
    kept = [member for member in members if "%" not in member]
    while len(",".join(kept)) > TRACESTATE_CHARS_MAX:
        kept.remove(max(reversed(kept), key=len))
    return ",".join(kept)
