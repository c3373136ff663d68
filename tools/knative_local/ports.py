"""Loopback ports: whether one is free, and which process listens on it.

A server that binds with SO_REUSEPORT, as Caddy does, shares a port with every other that does. So a port that answers
is not enough: the socket must be the server's own.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["free_port", "holder_of", "is_free", "kept_or_free", "listens", "listens_alone"]

LOOPBACK = "127.0.0.1"
LISTEN = "0A"
KEPT_SECONDS_MAX = 5.0
KEPT_POLL_SECONDS = 0.1
ANY_OR_LOOPBACK = {"00000000", "0100007F", "0" * 32, "0000000000000000FFFF00000100007F"}
"""Local addresses in /proc/net/tcp and tcp6 that connections to 127.0.0.1 can reach."""


def free_port() -> int:
    """A port on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def kept_or_free(port: int) -> int:
    """The port of the last start if it is free, or becomes free soon (its last holder may be ending); else another."""
    deadline = time.monotonic() + KEPT_SECONDS_MAX
    while port and not is_free(port):
        if time.monotonic() > deadline:
            return free_port()
        time.sleep(KEPT_POLL_SECONDS)
    return port or free_port()


def is_free(port: int) -> bool:
    """Whether a server could listen on the port alone."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return not _listeners(port)


def listens(pid: int, port: int) -> bool:
    """Whether the process has a listening socket on the port."""
    return bool(_listeners(port) & _sockets(pid))


def listens_alone(pid: int, port: int) -> bool:
    """Whether the process has every listening socket on the port."""
    listeners = _listeners(port)
    return bool(listeners) and listeners <= _sockets(pid)


def holder_of(port: int) -> str | None:
    """Who listens on the port, for people; None if nobody does."""
    listeners = _listeners(port)
    if not listeners:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        if listeners & _sockets(int(process.name)):
            words = [word.decode(errors="replace") for word in _read(process / "cmdline").split(b"\0") if word]
            return f"process {process.name} ({' '.join(words)[:80]})"
    return "another program"


def _listeners(port: int) -> set[str]:
    """The inodes of the listening sockets that a connection to 127.0.0.1 can reach."""
    return {inode for table in ("tcp", "tcp6") for inode in _listening(Path("/proc/net") / table, port)}


def _listening(table: Path, port: int) -> Iterator[str]:
    for line in _read(table).decode().splitlines()[1:]:
        fields = line.split()
        address, _, number = fields[1].partition(":")
        if fields[3] == LISTEN and int(number, 16) == port and address in ANY_OR_LOOPBACK:
            yield fields[9]


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets; none of a process that is gone, or of another user."""
    found: set[str] = set()
    try:
        for file in (Path("/proc") / str(pid) / "fd").iterdir():
            try:
                target = str(file.readlink())
            except OSError:
                continue
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    except OSError:
        pass
    return found


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""
