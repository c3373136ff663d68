"""Starts Python modules as forks of this process, which imports them once (ZEROCART_FORK).

A service uses most of the processor time of a cold start to import its modules. The tests start services hundreds of
times. Cold starts are measured without this.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from tools.knative_local.child import PR_SET_PDEATHSIG

__all__ = ["Fork", "fork", "preload"]

POLL_SECONDS = 0.01
MODULES = (
    "uvicorn", "uvloop", "services.kit.service.protocol", "services.kit.service.reporting",
    "services.kit.service.server",
    "services.projection.building", "services.projection.view_admin", "tools.knative_local.delivery.dispatch",
    "tools.knative_local.delivery.kafka", "tools.knative_local.delivery.routes", "tools.knative_local.delivery.status",
)  # fmt: skip
"""The modules that services, builds of views and delivery import, besides the applications of the services."""


class Fork:
    """A forked child, with the part of `subprocess.Popen` that the cluster uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the exit status; subprocess.TimeoutExpired after `timeout` seconds."""
        began = time.monotonic()
        while (status := self.poll()) is None:
            if timeout is not None and time.monotonic() - began > timeout:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(POLL_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal if it runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send SIGKILL if it runs."""
        self.send_signal(signal.SIGKILL)


def preload(services: Iterable[str]) -> None:
    """Import what the forks will need; they share the memory of it."""
    for module in (*(f"services.{name}.app" for name in services), *MODULES):
        import_module(module)
    gc.collect()
    gc.freeze()


def fork(
    module: str,
    *words: str,
    log: Path,
    environ: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> Fork:
    """Run a module as `python -m` does, in a fork; must be called from the main thread (see `spawn`)."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    parent = os.getpid()
    with log.open("ab") as output:
        pid = os.fork()
        if pid == 0:
            _become(module, words, output.fileno(), environ, death_signal, pass_fds, parent)
    return Fork(pid)


def _become(
    module: str,
    words: Sequence[str],
    output: int,
    environ: Mapping[str, str],
    death_signal: signal.Signals,
    pass_fds: Sequence[int],
    parent: int,
) -> None:
    """Leave nothing of the parent but its modules, run the module and exit."""
    status = 1
    try:
        os.setsid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(status)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        asyncio._set_running_loop(None)
        _only_files(output, pass_fds)
        os.environ.clear()
        os.environ.update(environ)
        sys.argv = [module, *words]
        status = _run(module)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _only_files(output: int, pass_fds: Sequence[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for number, source in enumerate((nothing, output, output)):
        os.dup2(source, number)
    low = 3
    for kept in (*sorted(pass_fds), os.sysconf("SC_OPEN_MAX")):
        os.closerange(low, kept)
        low = kept + 1


def _run(module: str) -> int:
    """Run the module; the exit status, as the interpreter would set it."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
            return 1
        return ended.code or 0
    return 0
