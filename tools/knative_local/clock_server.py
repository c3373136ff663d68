"""`python -m tools.knative_local.clock_server`: runs the PingSources of the manifests, for compose.

Reads ZEROCART_MANIFESTS, ZEROCART_SERVICE_URLS (a JSON object: service -> base URL), PORT, and ZEROCART_STATE, the
folder in which aimed schedules outlive the process. Serves the same API for changing schedules as the cluster does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path

from tools.knative_local.clock import KEPT, PingClock
from tools.knative_local.control import ControlServer
from tools.knative_local.manifests import read_manifests

__all__ = ["Ticking", "main"]

PORT = 8080


class Ticking:
    """A system that consists of the clock alone."""

    def __init__(self, clock: PingClock) -> None:
        self.clock = clock

    def status(self) -> Mapping[str, object]:
        """The time of the next event of each source."""
        return {"clock": self.clock.next_times()}


def main() -> None:
    """Tick until SIGTERM."""
    asyncio.run(_run(os.environ))


async def _run(environ: Mapping[str, str]) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    sources = read_manifests(Path(environ.get("ZEROCART_MANIFESTS", "knative"))).ping_sources
    base_urls: dict[str, str] = json.loads(environ.get("ZEROCART_SERVICE_URLS", "{}"))
    kept = Path(environ["ZEROCART_STATE"], KEPT) if environ.get("ZEROCART_STATE") else None
    clock = PingClock({source.name: source for source in sources}, base_urls, kept)
    # the network of the containers decides who can reach it
    await ControlServer(Ticking(clock)).start(int(environ.get("PORT", PORT)), "0.0.0.0")  # noqa: S104
    catching_up = asyncio.create_task(clock.catch_up())
    await stopping.wait()
    catching_up.cancel()
    await asyncio.gather(catching_up, return_exceptions=True)
    await clock.stop()


if __name__ == "__main__":
    main()
