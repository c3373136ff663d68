"""`zerocart up`: in the foreground until Ctrl-C, or with --detach in the background."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from pathlib import Path

from tools.knative_local.cluster import Cluster, Options
from tools.knative_local.manifests import UnsupportedManifestError
from tools.knative_local.process import ServerFailedError
from tools.knative_local.state import AlreadyRunningError, Running

__all__ = ["add_arguments", "detach", "run"]

READY_SECONDS_MAX = 180.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be said."""
    parser.add_argument("--detach", action="store_true", help="return when it is up, and leave it running")


def run(options: argparse.Namespace) -> int:
    """Start; 1 if it does not come up or is up already."""
    settings = Options.from_environment()
    if running := settings.state.running():
        print(f"it runs already: {running.edge_url}")
        return 0
    try:
        if options.detach:
            running = detach(settings)
            print(f"up: {running.edge_url}")
        else:
            asyncio.run(Cluster(settings, _say).run(_ready))
    except (AlreadyRunningError, ServerFailedError, UnsupportedManifestError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def detach(settings: Options) -> Running:
    """Start a cluster in the background and wait until it is up; ServerFailedError if it does not come up."""
    log = settings.state.home / "logs" / "cluster.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    print("starting the local cluster", flush=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", "from tools.zerocart.cli import main; main(['up'])"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        return _await(settings, process, log)
    except BaseException:  # Ctrl-C too: what nobody waits for any more would be left behind
        process.terminate()
        raise


def _await(settings: Options, process: subprocess.Popen[bytes], log: Path) -> Running:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        if (running := settings.state.running()) is not None and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise ServerFailedError(f"the cluster did not come up: see {log}\n{log.read_text()[-1000:]}")
        time.sleep(0.1)
    raise ServerFailedError(f"the cluster did not come up within {READY_SECONDS_MAX:.0f} s: see {log}")


def _say(line: str) -> None:
    print(line, flush=True)


def _ready(running: Running) -> None:
    print(f"up: {running.edge_url} (Ctrl-C stops it)", flush=True)
