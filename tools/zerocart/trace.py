"""`zerocart trace ORDER`: prints every event that an order caused, by position."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.kit.eventstore.port import RecordedEvent
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.eventstore.rows import recorded
from services.projection.history import STREAMS
from tools.knative_local.state import Running
from tools.terminal import fit
from tools.zerocart.cluster import running_cluster

__all__ = ["TracedEvent", "add_arguments", "as_text", "run"]

QUERY = """
    SELECT service, stream, version, position, type, time, data, meta FROM log.events
    WHERE meta->>'correlationid' = $1 OR meta->>'partitionkey' = $1
    ORDER BY position
"""
SHOWN_FIELDS = (
    "source", "number", "status", "step", "attempt", "undo", "success", "error_code", "error", "reason", "cause",
    "total", "amount", "transaction_id", "reservation_id", "tracking_number", "parcels", "mailed", "due_at", "kind",
)  # fmt: skip
"""The fields of an event that a line shows; none of them is personal."""
INDENT_MAX = 12


@dataclass(frozen=True, slots=True)
class TracedEvent:
    """One event, and the id of the event that caused it."""

    id: str
    service: str
    type: str
    time: datetime
    data: Mapping[str, Any]
    caused_by: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("order", help="the id of the order")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Print the events; 1 if the order has none."""
    traced = asyncio.run(_read(running_cluster(), options.order))
    if not traced:
        print(f"No event belongs to {options.order}. Check the id: GET /orders lists it.", file=sys.stderr)
        return 1
    for line in _as_json(traced) if options.json else map(fit, as_text(options.order, traced)):
        print(line)
    return 0


async def _read(running: Running, order: str) -> list[TracedEvent]:
    """Its events in the table, and those of its streams that are archived."""
    import asyncpg

    connection = await asyncpg.connect(running.owner_dsn)  # the limits of a reader are too low for the whole table
    reader = PostgresEventReader(running.owner_dsn, archive=os.environ.get("ZEROCART_ARCHIVE", ""))
    try:
        found = recorded(await connection.fetch(QUERY, order))
        found += await reader.read_streams([stream.format(order) for stream in STREAMS])
    finally:
        await connection.close()
        await reader.close()
    events = {event.position: event for event in found}
    return [_traced(events[position]) for position in sorted(events)]


def _traced(event: RecordedEvent) -> TracedEvent:
    meta = json.loads(event.meta)
    return TracedEvent(
        id=f"{event.stream}:{event.version}",
        service=event.service,
        type=event.type,
        time=event.time,
        data=json.loads(event.data),
        caused_by=meta.get("causationid", "").rpartition("/")[2],
    )


def _as_json(traced: Sequence[TracedEvent]) -> list[str]:
    return [
        json.dumps(
            {
                "id": event.id,
                "service": event.service,
                "type": event.type,
                "time": event.time.isoformat(),
                "data": event.data,
            }
        )
        for event in traced
    ]


def as_text(order: str, traced: Sequence[TracedEvent]) -> list[str]:
    """The lines of a trace that has at least one event."""
    start = traced[0].time
    depths: dict[str, int] = {}
    lines = [f"order {order}, from {start:%Y-%m-%d %H:%M:%S.%f} UTC", ""]
    for event in traced:
        depth = depths[event.id] = min(depths.get(event.caused_by, -1) + 1, INDENT_MAX)
        offset = (event.time - start).total_seconds()
        name = event.type.split(".", 2)[2].removesuffix(".v1")
        lines.append(f"{offset:+9.3f} s  {event.service:<14}{'  ' * depth}{name}  {_fields(event.data)}".rstrip())
    took = (traced[-1].time - start).total_seconds()
    return [*lines, "", f"{len(traced)} {'event' if len(traced) == 1 else 'events'} in {took:.3f} s"]


def _fields(data: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for name in SHOWN_FIELDS:
        value = data.get(name)
        if value in (None, False) or (name == "attempt" and value == 1):
            continue
        if isinstance(value, dict) and "currency" in value:
            value = f"{value['amount']} {value['currency']}"
        parts.append(f"{name}={value}" if value is not True else name)
    return " ".join(parts)
