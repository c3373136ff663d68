"""Child processes of the local cluster: how they start, how long a start is waited for, how they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from tools.knative_local.ports import holder_of, listens
from tools.knative_local.settings import seconds

__all__ = [
    "Process",
    "Say",
    "ServerFailedError",
    "StartModule",
    "Work",
    "end_of_log",
    "spawn",
    "spawn_module",
    "stop",
    "wait_for_port",
    "wait_until",
    "wrapped",
]

CHILD = Path(__file__).with_name("child.py")
START_SECONDS = 120.0
"""How long a start may show no progress, unless ZEROCART_START_SECONDS says otherwise."""
TELL_SECONDS = 10.0
"""The time between two messages about a start that takes long."""
POLL_SECONDS = 0.03
CPU_SECONDS_MIN = 0.2
"""Processor time that counts as progress: an idle JVM uses less of it between two looks."""
LOG_LINES = 5
LOG_CHARS_MAX = 800
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

Say = Callable[[str], None]


class ServerFailedError(Exception):
    """A server did not start; the message says why and where its log is."""


class Process(Protocol):
    """A child of the cluster, started by `spawn` or by `forks.fork`."""

    pid: int

    @property
    def returncode(self) -> int | None: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...

    def kill(self) -> None: ...


class StartModule(Protocol):
    """Starts a Python module as a child: `spawn_module` or `forks.fork`."""

    def __call__(
        self,
        module: str,
        *words: str,
        log: Path,
        environ: Mapping[str, str],
        death_signal: signal.Signals = signal.SIGTERM,
        pass_fds: Sequence[int] = (),
    ) -> Process: ...


def spawn_module(
    module: str,
    *words: str,
    log: Path,
    environ: Mapping[str, str],
    death_signal: signal.Signals = signal.SIGTERM,
    pass_fds: Sequence[int] = (),
) -> Process:
    """Start a module with a Python of its own; as `spawn`, from the main thread."""
    command = [sys.executable, "-m", module, *words]
    return spawn(command, log=log, environ=environ, death_signal=death_signal, pass_fds=pass_fds)


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environ: Mapping[str, str] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    not_root: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a command that gets `death_signal` when this process dies; must be called from the main thread.

    The kernel ties the signal to the thread that started the child, not to the process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            wrapped(command, death_signal, not_root=not_root),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ) if environ is not None else None,
            pass_fds=pass_fds,
            start_new_session=True,  # a Ctrl-C at the terminal is for the cluster, which stops its children in order
        )


def wrapped(
    command: Sequence[str], death_signal: signal.Signals = signal.SIGTERM, *, not_root: bool = False
) -> list[str]:
    """The command line that runs a command by way of `child.py`."""
    prefix = [sys.executable, "-S", "-E", str(CHILD), str(int(death_signal)), str(os.getpid())]
    return [*prefix, *(["--not-root"] if not_root else []), *command]


def stop(process: Process, how: signal.Signals, grace_seconds: float) -> None:
    """End a child: `how` first, SIGKILL after the grace."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Work:
    """Tells whether a process makes progress: its log grows, or it uses processor time."""

    def __init__(self, pid: int, log: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._pid = pid
        self._log = log
        self._now = now
        self._size, self._cpu = _size(log), _cpu_seconds(pid)
        self._last = now()

    def idle_seconds(self) -> float:
        """How long there has been no progress."""
        size, cpu = _size(self._log), _cpu_seconds(self._pid)
        if size != self._size or cpu - self._cpu >= CPU_SECONDS_MIN:
            self._size, self._cpu, self._last = size, cpu, self._now()
        return self._now() - self._last


def wait_for_port(name: str, process: Process, port: int, log: Path, say: Say = lambda _: None) -> None:
    """Return when the process listens on the port, however long it takes, as long as it makes progress.

    ServerFailedError if it ends, if it makes no progress, or if somebody else has the port.
    """
    wait_until(name, process, lambda: _has_port(name, process, port), log, say)


def wait_until(name: str, process: Process, ready: Callable[[], bool], log: Path, say: Say = lambda _: None) -> None:
    """Return when `ready` holds; ServerFailedError if the process ends or makes no progress until then."""
    limit = seconds("ZEROCART_START_SECONDS", START_SECONDS)
    work, start = Work(process.pid, log), time.monotonic()
    told = start
    while not ready():
        if process.poll() is not None:
            raise ServerFailedError(f"{name} ended with status {process.returncode}{end_of_log(log)}")
        if (idle := work.idle_seconds()) > limit:
            raise ServerFailedError(
                f"{name} made no progress for {idle:.0f} s (ZEROCART_START_SECONDS sets another limit){end_of_log(log)}"
            )
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            say(f"{name} is still starting ({told - start:.0f} s)")
        time.sleep(POLL_SECONDS)


def _has_port(name: str, process: Process, port: int) -> bool:
    if listens(process.pid, port):
        return True
    if (holder := holder_of(port)) and not listens(process.pid, port):  # it may have come to listen meanwhile
        raise ServerFailedError(f"{name} cannot listen on port {port}: {holder} does.")
    return listens(process.pid, port)


def end_of_log(log: Path) -> str:
    """The last lines of a log and its path, to follow a reason."""
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        return f": see {log}"
    told = [line for line in lines if not line.lstrip().startswith("at ")][-LOG_LINES:]  # without a Java stack
    return f": see {log}, which ends with\n  " + "\n  ".join(told)[-LOG_CHARS_MAX:] if told else f": see {log}"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _cpu_seconds(pid: int) -> float:
    """Processor time of a process and of its children that have ended; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND
