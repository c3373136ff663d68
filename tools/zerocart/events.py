"""`zerocart events`: what is said on the topic, one line each."""

# aiokafka comes without types: what crosses this module's borders is typed by hand.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tools.knative_local.state import Running, State

__all__ = ["add_arguments", "run"]

IDLE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--follow", action="store_true", help="go on with what comes")
    parser.add_argument("--json", action="store_true", help="whole events, one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Print from the beginning; 1 if nothing runs."""
    running = State.from_environment().running()
    if running is None:
        print("it does not run")
        return 1
    asyncio.run(_print(running, follow=options.follow, as_json=options.json))
    return 0


async def _print(running: Running, *, follow: bool, as_json: bool) -> None:
    from aiokafka import AIOKafkaConsumer

    consumer = AIOKafkaConsumer(
        running.topic, bootstrap_servers=running.bootstrap_servers, auto_offset_reset="earliest", group_id=None
    )
    await consumer.start()
    try:
        while True:
            batches = await consumer.getmany(timeout_ms=int(IDLE_SECONDS * 1000))
            for record in (record for batch in batches.values() for record in batch):
                print(_line(record, as_json=as_json), flush=follow)
            if not batches and not follow:
                return
    finally:
        await consumer.stop()


def _line(record: Any, *, as_json: bool) -> str:
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in record.headers}
    if as_json:
        return json.dumps({**attributes, "data": json.loads(record.value or b"null")})
    return f"{attributes.get('time', ''):<28} {attributes.get('type', ''):<48} {attributes.get('subject', '')}"
