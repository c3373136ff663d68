"""`zerocart events`: prints the events on the topic, one line each."""

# aiokafka has no types, so this module declares them by hand.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tools.knative_local.state import Running
from tools.terminal import fit
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "event_line", "run"]

T = TypeVar("T")
IDLE_SECONDS = 1.0
ANSWER_SECONDS_MAX = 20.0


class NoAnswerError(Exception):
    """Kafka does not answer."""


class Record(Protocol):
    """A record of Kafka, which another program may have written."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """The headers, of which those that begin with `ce_` are the attributes of an event."""
        ...

    @property
    def value(self) -> bytes | None:
        """The data of the event."""
        ...


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--follow", action="store_true", help="wait for new events until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print each event whole, as one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Print the events from the beginning of the topic."""
    asyncio.run(_print(running_cluster(), follow=options.follow, as_json=options.json))
    return 0


async def _print(running: Running, *, follow: bool, as_json: bool) -> None:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        running.topic, bootstrap_servers=running.bootstrap_servers, auto_offset_reset="earliest", group_id=None
    )
    try:
        await _answered(consumer.start(), running)
        ends = await _answered(consumer.end_offsets(consumer.assignment()), running)
        silent_seconds = 0.0
        while follow or not await _answered(_has_reached(consumer, ends), running):
            batches = await consumer.getmany(timeout_ms=int(IDLE_SECONDS * 1000))
            silent_seconds = 0.0 if batches else silent_seconds + IDLE_SECONDS
            if silent_seconds > ANSWER_SECONDS_MAX and not follow:
                raise _no_answer(running)
            for record in (record for batch in batches.values() for record in batch):
                print(event_line(record, as_json=as_json), flush=follow)
    finally:
        await consumer.stop()


async def _has_reached(consumer: Any, ends: Mapping[Any, int]) -> bool:
    """Whether everything is read that the topic had at the start."""
    return all([await consumer.position(partition) >= end for partition, end in ends.items()])


async def _answered(answer: Awaitable[T], running: Running) -> T:
    """The answer; NoAnswerError if Kafka gives none, as when its process hangs."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await answer
    except TimeoutError as error:
        raise _no_answer(running) from error


def _no_answer(running: Running) -> NoAnswerError:
    return NoAnswerError(f"Kafka at {running.bootstrap_servers} gives no answer: zerocart logs kafka shows why")


def event_line(record: Record, *, as_json: bool) -> str:
    """The line of a record."""
    attributes = {name.removeprefix("ce_"): (value or b"").decode(errors="replace") for name, value in record.headers}
    if as_json:
        return json.dumps({**attributes, "data": _data(record.value or b"null")})
    return fit(f"{attributes.get('time', ''):<28} {attributes.get('type', ''):<48} {attributes.get('subject', '')}")


def _data(value: bytes) -> object:
    """The data of an event; its text if another program has written something else to the topic."""
    try:
        return json.loads(value)
    except ValueError:
        return value.decode(errors="replace")
