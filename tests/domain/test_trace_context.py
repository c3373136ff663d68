"""Which traces are continued, and what is carried along, by W3C Trace Context (sections 3.2, 3.3 and 4.3)."""

from __future__ import annotations

import re

import pytest

from services.kit.telemetry import tracing
from services.kit.wire.asgi import trace_of
from tools.knative_local.delivery.events import Record, event_of

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CONTINUED = {
    f"00-{TRACE}-{SPAN}-01": "01",
    f"00-{TRACE}-{SPAN}-00": "00",
    f"00-{TRACE}-{SPAN}-03": "03",  # random
    f"00-{TRACE}-{SPAN}-ff": "03",  # bits without a meaning are not passed on
    f"01-{TRACE}-{SPAN}-01": "01",
    f"01-{TRACE}-{SPAN}-0e": "00",  # of a later version only `sampled` is known
    f"cc-{TRACE}-{SPAN}-01-what-the-future-brings": "01",
    f"fe-{TRACE}-{SPAN}-01-": "01",
}
"""The flags with which a trace is continued."""
INVALID = [
    "", "x", f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01",
    f"00-{TRACE}-{SPAN.upper()}-01", f"0F-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-0G", f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}",
    f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-01-", f"00-{TRACE}-{SPAN}-01.", f"01-{TRACE}-{SPAN}-01.more", f"01-{TRACE}-{SPAN}-01x",
    f"1-{TRACE}-{SPAN}-01", f"000-{TRACE}-{SPAN}-01", f"00-{TRACE}0-{SPAN}-01", f"00-{TRACE[1:]}-{SPAN}-01", f"00-{TRACE}-{SPAN}0-01",
    f"00_{TRACE}_{SPAN}_01", f"{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01,00-{TRACE}-{SPAN}-01", f"01-{'0' * 32}-{SPAN}-01-x",
]  # fmt: skip


def carried(traceparent: str, tracestate: str) -> dict[str, str]:
    """The attributes of an event that follows from a request with these headers."""
    with tracing.span("GET", "server", traceparent, tracestate):
        return tracing.attributes()


@pytest.mark.parametrize("traceparent", CONTINUED)
def test_a_valid_traceparent_of_any_version_is_continued(traceparent):
    found = carried(traceparent, "congo=t61rcWkgMzE")
    version, trace, span, flags = found["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, CONTINUED[traceparent])
    assert re.fullmatch("[0-9a-f]{16}", span)
    assert span != SPAN
    assert found["tracestate"] == "congo=t61rcWkgMzE"


@pytest.mark.parametrize("traceparent", INVALID)
def test_an_invalid_traceparent_begins_a_new_trace_without_the_state(traceparent):
    found = carried(traceparent, "congo=t61rcWkgMzE")
    assert TRACE not in found["traceparent"]
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", found["traceparent"])
    assert "tracestate" not in found


@pytest.mark.parametrize("traceparent", [*CONTINUED, *INVALID])
def test_the_local_delivery_continues_the_same_traces(traceparent):
    event = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/x", "ce_type": "t", "traceparent": traceparent}
    trace = event_of(Record(0, 0, None, [(name, value.encode()) for name, value in event.items()], b"{}")).trace
    assert (trace is not None and trace[0] == TRACE) == (traceparent in CONTINUED)


MANY = ",".join(f"k{number}=v" for number in range(32))
STATES = {
    "": "", "a=b": "a=b", "a=b,c=d": "a=b,c=d", " a=b ,\tc=d , ": "a=b,c=d", "a=b,,c=d": "a=b,c=d", "1a-_*/@x=!~ x": "1a-_*/@x=!~ x",
    "tenant@system=x": "tenant@system=x", MANY: MANY, f"{MANY},x=y": "", "a=b,a=c": "", "A=b": "", "a": "", "=b": "", "a=": "",
    "a=b=c": "", "a =b": "", "a=é": "", "a=b\x7f": "", f"{'a' * 257}=b": "", f"a={'b' * 257}": "", f"a={'b' * 256}": f"a={'b' * 256}",
    "a=b,c=d%20e": "a=b", f"a={'b' * 200},c={'d' * 250},e={'f' * 90}": f"a={'b' * 200},e={'f' * 90}",
}  # fmt: skip


@pytest.mark.parametrize("tracestate", STATES)
def test_a_valid_tracestate_is_carried_within_bounds(tracestate):
    found = carried(f"00-{TRACE}-{SPAN}-01", tracestate).get("tracestate", "")
    assert found == STATES[tracestate]
    assert len(found) <= tracing.TRACESTATE_CHARS_MAX


def test_several_headers_of_state_are_one_and_several_parents_are_none():
    parent = (b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())
    states = [(b"tracestate", b"a=b"), (b"tracestate", b"c=d")]
    assert trace_of({"headers": [parent, *states]}) == (parent[1].decode(), "a=b,c=d")
    assert trace_of({"headers": [parent, parent, *states]}) == ("", "")
    assert trace_of({"headers": states}) == ("", "")
