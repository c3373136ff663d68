"""`zerocart trace ORDER`: everything that happened because of an order, in the order of the log."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tools.knative_local.state import Running, State

__all__ = ["Happening", "add_arguments", "as_text", "run"]

QUERY = """
    SELECT service, stream, version, type, time, data, meta FROM log.events
    WHERE meta->>'correlationid' = $1 OR meta->>'partitionkey' = $1
    ORDER BY epoch, transaction_id, position
"""
GIST = (
    "source", "number", "status", "step", "attempt", "undo", "success", "error_code", "error", "reason", "cause",
    "total", "amount", "transaction_id", "reservation_id", "tracking_number", "parcels", "mailed", "due_at", "kind",
)  # fmt: skip
"""What is worth showing of an event; none of it is personal."""
INDENT_MAX = 12


@dataclass(frozen=True, slots=True)
class Happening:
    """One event of the trace."""

    id: str
    service: str
    type: str
    time: datetime
    data: Mapping[str, Any]
    caused_by: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("order", help="an order's id")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """Print it; 1 if nothing runs or nothing is known of the order."""
    running = State.from_environment().running()
    if running is None:
        print("it does not run")
        return 1
    happenings = asyncio.run(_read(running, options.order))
    if not happenings:
        print(f"nothing is known of {options.order}")
        return 1
    for line in _as_json(happenings) if options.json else as_text(options.order, happenings):
        print(line)
    return 0


async def _read(running: Running, order: str) -> list[Happening]:
    import asyncpg

    connection = await asyncpg.connect(running.owner_dsn)
    try:
        rows = await connection.fetch(QUERY, order)
    finally:
        await connection.close()
    return [_happening(row) for row in rows]


def _happening(row: Any) -> Happening:
    meta = json.loads(row["meta"])
    return Happening(
        id=f"{row['stream']}:{row['version']}",
        service=row["service"],
        type=row["type"],
        time=row["time"],
        data=json.loads(row["data"]),
        caused_by=meta.get("causationid", "").rpartition("/")[2],
    )


def _as_json(happenings: Sequence[Happening]) -> list[str]:
    return [
        json.dumps({"id": h.id, "service": h.service, "type": h.type, "time": h.time.isoformat(), "data": h.data})
        for h in happenings
    ]


def as_text(order: str, happenings: Sequence[Happening]) -> list[str]:
    """The lines of a trace that has at least one event."""
    start = happenings[0].time
    depths: dict[str, int] = {}
    lines = [f"order {order}, from {start:%Y-%m-%d %H:%M:%S.%f} UTC", ""]
    for happening in happenings:
        depth = depths[happening.id] = min(depths.get(happening.caused_by, -1) + 1, INDENT_MAX)
        offset = (happening.time - start).total_seconds()
        what = happening.type.split(".", 2)[2].removesuffix(".v1")
        lines.append(f"{offset:+9.3f} s  {happening.service:<14}{'  ' * depth}{what}  {_gist(happening.data)}".rstrip())
    took = (happenings[-1].time - start).total_seconds()
    return [*lines, "", f"{len(happenings)} {'event' if len(happenings) == 1 else 'events'} in {took:.3f} s"]


def _gist(data: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for name in GIST:
        value = data.get(name)
        if value in (None, False) or (name == "attempt" and value == 1):
            continue
        if isinstance(value, dict) and "currency" in value:
            value = f"{value['amount']} {value['currency']}"
        parts.append(f"{name}={value}" if value is not True else name)
    return " ".join(parts)
