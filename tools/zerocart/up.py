"""`zerocart up`: runs the local cluster in the foreground until Ctrl-C, or with --detach in the background."""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tools.knative_local.cluster import PASSED_ON, Cluster, Options
from tools.knative_local.process import START_SECONDS, ServerFailedError, end_of_log
from tools.knative_local.service_settings import require_valid
from tools.knative_local.settings import seconds
from tools.knative_local.state import Running
from tools.terminal import say

__all__ = ["add_arguments", "detach", "run"]

POLL_SECONDS = 0.1
STOP_SECONDS_MAX = 90.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--detach", action="store_true", help="return when it is up, and leave it running")
    parser.add_argument("--json", action="store_true", help="print the addresses as JSON")


def run(options: argparse.Namespace) -> int:
    """Start the cluster; BadSettingError if a service could not start, ServerFailedError if the cluster does not."""
    settings = Options.from_environment()
    tell = _to_stderr if options.json else say
    running = settings.state.running()
    if running is not None:
        tell(f"The cluster on {settings.state.home} is up already: {running.edge_url}")
        tell("It keeps the settings with which it was started: to change them, run `zerocart down` first.")
    else:
        require_valid(PASSED_ON)
        running = _start(settings, tell, in_background=options.detach)
    if options.json and running is not None:
        print(json.dumps({"edge_url": running.edge_url, "pid": running.pid}))
    return 0


def _start(settings: Options, tell: Callable[[str], None], *, in_background: bool) -> Running | None:
    if not in_background:
        asyncio.run(Cluster(settings, say).run(_ready))
        return None
    running = detach(settings, tell)
    tell(f"up: {running.edge_url}")
    return running


def detach(settings: Options, tell: Callable[[str], None] = say) -> Running:
    """Start a cluster in the background and wait until it is up; `tell` gets the lines of its log.

    ServerFailedError if it does not start. On Ctrl-C the cluster is stopped before this returns.
    """
    limit = seconds("ZEROCART_START_SECONDS", START_SECONDS) * 2  # the cluster itself gives up first, with a reason
    log = settings.state.folder("logs") / "cluster.log"
    log.touch(mode=0o600)
    tell("starting the local cluster")
    with log.open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.zerocart", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _wait(settings, process, _Tail(log, start, tell), limit)
    except BaseException:  # on Ctrl-C, too: nobody waits for the cluster any more
        if process.poll() is None:
            tell("stopping the cluster")
            process.terminate()
            process.wait(STOP_SECONDS_MAX)
        raise


def _wait(settings: Options, process: subprocess.Popen[bytes], tail: _Tail, limit: float) -> Running:
    while True:
        running = settings.state.running()
        if running is not None and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise ServerFailedError(tail.reason())
        tail.show()
        if tail.idle_seconds() > limit:
            raise ServerFailedError(f"The cluster made no progress for {limit:.0f} s{end_of_log(tail.log)}")
        time.sleep(POLL_SECONDS)


class _Tail:
    """Passes on the new lines in the log of a starting cluster."""

    def __init__(self, log: Path, start: int, tell: Callable[[str], None]) -> None:
        self.log = log
        self._place = start
        self._tell = tell
        self._last = time.monotonic()

    def show(self) -> None:
        """Pass on the new lines."""
        for line in self._new():
            self._tell(f"  {line}")

    def reason(self) -> str:
        """Pass on the last lines; an error text that refers to them."""
        self.show()
        return f"The cluster did not start: see the lines above and {self.log}."

    def idle_seconds(self) -> float:
        """The time since the last line was written."""
        return time.monotonic() - self._last

    def _new(self) -> list[str]:
        with self.log.open("rb") as file:
            file.seek(self._place)
            whole, newline, _ = file.read().rpartition(b"\n")
        self._place += len(whole) + len(newline)
        lines = whole.decode(errors="replace").splitlines() if newline else []
        if lines:
            self._last = time.monotonic()
        return lines


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _ready(running: Running) -> None:
    say(f"up: {running.edge_url} (Ctrl-C stops it)")
