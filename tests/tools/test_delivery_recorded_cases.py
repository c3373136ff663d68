"""Our delivery makes the same requests, waits, dead letters, replies and outcomes as the recorded real dispatcher."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.tools.known_differences import DEPARTURES
from tests.tools.scripted_server import Request, ScriptedServer
from tests.waiting import SECONDS_MAX
from tools.knative_local.delivery.attempts import Schedule
from tools.knative_local.delivery.dispatch import Dispatcher
from tools.knative_local.delivery.filters import AbsentAttributeError, compile_filters
from tools.knative_local.delivery.topic import MemoryTopic
from tools.knative_local.delivery.trigger import Route, read
from tools.knative_local.documents import Node
from tools.knative_local.manifests import read_delivery, read_filters

DATA = Path(__file__).parent / "data"
CASES: list[dict[str, Any]] = json.loads((DATA / "cases.json").read_text())
FILTERS: dict[str, Any] = json.loads((DATA / "filters.json").read_text())
SCALE = 0.1
TIMEOUT_SCALE = 0.3
"""The cases of timeouts compare times of 300 and 500 ms, which must stay apart on a busy machine."""
LOOK_SECONDS = 0.005
LATE_SECONDS_MAX = 0.5
"""And the time for which the machine did not run the test's process."""
LEFT_OUT = ("user-agent", "host", "content-length")
MARKER = [["ce_specversion", "1.0"], ["ce_id", "marker"], ["ce_source", "/src"], ["ce_type", "t.one"]]


@dataclass
class Run:
    topic: MemoryTopic
    server: ScriptedServer
    dispatcher: Dispatcher
    url: str
    stalled_seconds: float


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_delivery_behaves_as_in_the_recorded_case(case: dict[str, Any]) -> None:
    differing = await differences(case)
    departure = DEPARTURES.get(case["name"])
    if departure is None:
        assert not differing
    else:
        assert differing, "a departure that is as recorded: take it out of the table"
        assert set(differing) <= departure.fields, differing


async def differences(case: dict[str, Any]) -> dict[str, tuple[object, object]]:
    """The observed and the recorded values that differ."""
    scale = TIMEOUT_SCALE if case["group"] == "timeout" else SCALE
    scripts = {"/s": case["responses"], "/d": case.get("dead_letter_responses", [])}
    async with ScriptedServer(scripts, scale) as server:
        run = await finished(case, server, scale)
        observed = observe(run)
    expected = wanted(case, run)
    found = {name: (observed[name], value) for name, value in expected.items() if observed[name] != value}
    if late := late_waits(case, run, scale):
        found["waits_ms"] = (late, case["expected"]["waits_ms"])
    return found


async def finished(case: dict[str, Any], server: ScriptedServer, scale: float) -> Run:
    url = refusing_url() if case["responses"][0].get("action") == "refuse" else f"{server.url}/s"
    topic = MemoryTopic()
    record = case["record"]
    topic.append(octets(record["key"]), [(name, octets(value)) for name, value in record["headers"]], value_of(record))
    topic.append(b"k", [(name, value.encode()) for name, value in MARKER], b"{}")
    dispatcher = Dispatcher(topic, [route(case, server, url, scale)], commit_seconds=0.02)
    await dispatcher.start()
    stalled = 0.0
    async with asyncio.timeout(SECONDS_MAX):
        while topic.committed.get("knative-trigger-ns1-t") != {0: len(topic.records)}:
            before = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            stalled += time.monotonic() - before - LOOK_SECONDS
    await dispatcher.stop()
    return Run(topic, server, dispatcher, url, stalled)


def route(case: dict[str, Any], server: ScriptedServer, url: str, scale: float) -> Route:
    spec = dict(case["trigger"].get("delivery", {}))
    has_sink = spec.pop("deadLetterSink", False)
    schedule = Schedule.of(read_delivery(Node(spec, case["name"])), scale)
    sink = f"{server.url}/d" if has_sink else None
    return Route("t", "ns1", (), url, sink, schedule, reads_replies=case.get("reply") != "discard")


def observe(run: Run) -> dict[str, object]:
    tries, letters = run.server.seen("/s"), run.server.seen("/d")
    loss = next((loss for loss in run.dispatcher.losses() if loss["offset"] == 0), None)
    outcomes = {"dropped": "dropped", "discarded": "discarded_invalid"}
    taken = "dead_lettered" if letters else "delivered"
    return {
        "seen": len(tries),
        "request": pairs_of(tries[0]) if tries else None,
        "body": tries[0].body if tries else None,
        "identical_on_retry": all(pairs_of(again) == pairs_of(tries[0]) for again in tries[1:]),
        "dead_letter": (len(letters), pairs_of(letters[0]), letters[0].body) if letters else None,
        "reply_record": [
            (one.key, [(name, value) for name, value in one.headers], one.value) for one in run.topic.records[2:]
        ],
        "outcome": outcomes[str(loss["outcome"])] if loss else taken,
        "offset_committed": True,
        "next_event_delivered": any(r.headers.get("ce-id") == "marker" for r in run.server.requests),
    }


def wanted(case: dict[str, Any], run: Run) -> dict[str, object]:
    expected, letter, reply = (case["expected"], case["expected"]["dead_letter"], case["expected"]["reply_record"])
    request = expected["request"]
    visible = request is not None
    fields: dict[str, object] = {
        "seen": expected.get("attempts_seen_by_server", expected["attempts"] if visible else 0),
        "request": recorded_pairs(request["headers"], run) if visible else None,
        "body": body_of(request, case) if visible else None,
        "identical_on_retry": True,
        "reply_record": [] if reply is None else [recorded_reply(reply)],
        "outcome": expected["outcome"],
        "offset_committed": expected["offset_committed"],
        "next_event_delivered": expected["next_event_delivered"],
    }
    if letter is None or letter.get("headers"):
        pairs = recorded_pairs(letter["headers"], run) if letter else []
        fields["dead_letter"] = (letter["attempts"], pairs, body_of(letter, case)) if letter else None
    return fields


def late_waits(case: dict[str, Any], run: Run, scale: float) -> list[float]:
    """The waits in ms on the recorded scale, if one of them is too short or far too long."""
    tries = run.server.seen("/s")
    nominal = [wait / 1000 * scale for wait in case["expected"]["waits_ms"]]
    if len(tries) != len(nominal) + 1:
        return []
    timeout = read_delivery(Node(dict(case["trigger"].get("delivery", {}), deadLetterSink=None), "")).timeout_seconds
    silent = case["group"] == "timeout"
    before = timeout * scale if silent else 0.0
    waits = [after.arrived - first.arrived for first, after in pairwise(tries)]
    late_max = LATE_SECONDS_MAX + run.stalled_seconds
    bounds = [(before + wait, before + wait + late_max) for wait in nominal]
    early = run.stalled_seconds if silent else 0.0  # a timeout begins before its request arrives
    fine = all(low * 0.97 - early <= wait <= high for wait, (low, high) in zip(waits, bounds, strict=True))
    return [] if fine else [wait / scale * 1000 for wait in waits]


def pairs_of(request: Request) -> list[tuple[str, str]]:
    return sorted((name, traced(name, value)) for name, value in request.pairs if name not in LEFT_OUT)


def traced(name: str, value: str) -> str:
    return re.sub(r"-[0-9a-f]{16}-", "-${NEW_SPAN_ID}-", value) if name == "traceparent" else value


def recorded_pairs(headers: dict[str, Any], run: Run) -> list[tuple[str, str]]:
    pairs = headers.get("_repeated") or list(headers.items())
    return sorted((name, value.replace("${SUBSCRIBER_URL}", run.url)) for name, value in pairs if name not in LEFT_OUT)


def recorded_reply(reply: dict[str, Any]) -> tuple[bytes | None, list[tuple[str, bytes]], bytes | None]:
    value = reply["value_base64"]
    headers = [(name, text.encode()) for name, text in reply["headers"]]
    return octets(reply["key"]), headers, base64.b64decode(value) if value else None


def octets(value: Any) -> bytes | None:
    if isinstance(value, dict):
        return base64.b64decode(value["base64"])
    return None if value is None else value.encode()


def value_of(record: dict[str, Any]) -> bytes | None:
    if "value_generator" in record:
        return generated(record)
    value = record["value_base64"]
    return None if value is None else base64.b64decode(value)


def generated(record: dict[str, Any]) -> bytes:
    number = re.search(r"\d+", json.dumps(record["value_generator"]))
    assert number is not None
    return b'"' + b"x" * int(number[0]) + b'"'


def body_of(message: dict[str, Any], case: dict[str, Any]) -> bytes:
    if message.get("body_base64") is None and "value_generator" in case["record"]:
        return generated(case["record"])
    return base64.b64decode(message.get("body_base64") or "")


def refusing_url() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/s"


def test_every_known_difference_is_a_recorded_case() -> None:
    assert set(DEPARTURES) <= {case["name"] for case in CASES}
    assert all(departure.reason for departure in DEPARTURES.values())


@pytest.mark.parametrize("entry", FILTERS["filters"], ids=[entry["name"] for entry in FILTERS["filters"]])
def test_a_filter_selects_as_in_the_recorded_case(entry: dict[str, Any]) -> None:
    passes = compile_filters(read_filters(Node(entry["trigger"], entry["name"])))
    delivered, thrown = [], []
    for taken in filtered_events():
        try:
            if taken.event is not None and passes(taken.event):
                delivered.append(taken.event.attributes["id"])
        except AbsentAttributeError:
            assert taken.event is not None
            thrown.append(taken.event.attributes["id"])
    assert (delivered, thrown) == (entry["delivered"], entry["exception"])


def filtered_events() -> Sequence[Any]:
    topic = MemoryTopic()
    for event in FILTERS["events"]:
        topic.append(None, [(name, value.encode()) for name, value in event["headers"]], event["value"].encode())
    return [read(record) for record in topic.records]


def test_all_waits_of_a_schedule_are_scaled() -> None:
    schedule = Schedule(3, exponential=False, backoff_seconds=0.2, timeout_seconds=1.0)
    assert [schedule.wait_seconds(k) for k in (1, 2, 3)] == pytest.approx([0.2, 0.4, 0.6])
    assert replace(schedule, exponential=True, scale=0.5).wait_seconds(3) == pytest.approx(0.8)
