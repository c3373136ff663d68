"""`zerocart events`: prints the events on the topic, one line each."""

# aiokafka has no types, so this module declares them by hand.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import asyncio
import json
from typing import Any

from tools.knative_local.state import Running
from tools.terminal import fit
from tools.zerocart.cluster import running_cluster

__all__ = ["add_arguments", "run"]

IDLE_SECONDS = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--follow", action="store_true", help="wait for new events until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print whole events, one JSON object a line")


def run(options: argparse.Namespace) -> int:
    """Print the events from the beginning of the topic."""
    asyncio.run(_print(running_cluster(), follow=options.follow, as_json=options.json))
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
    return fit(f"{attributes.get('time', ''):<28} {attributes.get('type', ''):<48} {attributes.get('subject', '')}")
