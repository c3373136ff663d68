"""A busy Trigger continues although another one is stuck."""

from __future__ import annotations

import asyncio

import pytest

from tests.tools.scripted_server import ScriptedServer
from tests.waiting import until
from tools.knative_local.delivery.attempts import Schedule
from tools.knative_local.delivery.dispatch import PATIENCE_SECONDS, Dispatcher
from tools.knative_local.delivery.topic import MemoryTopic
from tools.knative_local.delivery.trigger import WAITING_EVENTS_MAX, Route

EVENTS = WAITING_EVENTS_MAX * 3
TRIALS = 5
"""Which of the two is waited for first is a matter of chance."""


def filled() -> MemoryTopic:
    topic = MemoryTopic()
    for number in range(EVENTS):
        attributes = {"specversion": "1.0", "id": f"e{number}", "source": "/s", "type": "t", "subject": "s"}
        topic.append(b"k", [(f"ce_{name}", value.encode()) for name, value in attributes.items()], b"{}")
    return topic


@pytest.mark.parametrize("trial", range(TRIALS))
async def test_a_slow_trigger_continues_while_another_is_stuck(trial: int) -> None:
    schedule = Schedule(0, exponential=True, backoff_seconds=0.2, timeout_seconds=60.0)
    async with ScriptedServer({}, 1.0) as busy, ScriptedServer({}, 1.0) as stuck:
        busy.gate, stuck.gate = asyncio.Event(), asyncio.Event()
        routes = [Route(name, "ns", (), f"{one.url}/s", None, schedule) for name, one in (("b", busy), ("s", stuck))]
        dispatcher = Dispatcher(filled(), routes)
        await dispatcher.start()
        await asyncio.sleep(PATIENCE_SECONDS * 3)
        busy.gate.set()
        await until(lambda: len(busy.requests) >= EVENTS)
        stuck.gate.set()
        await until(lambda: len(stuck.requests) >= EVENTS)
        await dispatcher.stop()
    assert len(busy.requests) == len(stuck.requests) == EVENTS
