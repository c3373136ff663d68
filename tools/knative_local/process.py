"""Child processes of the local cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["ServerFailedError", "free_port", "spawn", "stop", "wait_for_port"]

CHILD = Path(__file__).with_name("child.py")


class ServerFailedError(Exception):
    """A server did not start; the message says where its log is."""


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
    wrapped = [sys.executable, "-S", "-E", str(CHILD), str(int(death_signal)), str(os.getpid())]
    with log.open("ab") as output:
        return subprocess.Popen(
            [*wrapped, *(["--not-root"] if not_root else []), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environ) if environ is not None else None,
            pass_fds=pass_fds,
            start_new_session=True,  # a Ctrl-C at the terminal is for the cluster, which stops its children in order
        )


def stop(process: subprocess.Popen[bytes], how: signal.Signals, grace_seconds: float) -> None:
    """End a child: `how` first, SIGKILL after the grace."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(process: subprocess.Popen[bytes], port: int, seconds_max: float, log: Path) -> None:
    """Return when somebody listens on the port; ServerFailedError if the process ends or takes too long."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailedError(f"it ended with {process.returncode}: see {log}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.03)
        else:
            return
    raise ServerFailedError(f"it did not listen within {seconds_max} s: see {log}")
