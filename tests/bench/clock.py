"""Rates and processor time of a measurement. Clock times say little on a machine that others use."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["Clock", "Figures", "processor_of_server", "processor_of_this"]

SECONDS = float(os.environ.get("ZEROCART_BENCH_SECONDS", "4"))
WARM_UP_SECONDS = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """Units per second, and microseconds of processor per unit in the client and in the server."""

    rate: float
    client_us: float
    server_us: float


class Clock:
    """Counts between the warm-up and the end of a measurement."""

    def __init__(self, server_pid: int) -> None:
        self.running = True
        self._server_pid = server_pid
        self._counted = 0
        self._counting = False
        self.figures = Figures(0, 0, 0)

    def count(self, things: int) -> None:
        if self._counting:
            self._counted += things

    async def run(self) -> None:
        await asyncio.sleep(WARM_UP_SECONDS)
        self._counting, began, before = True, time.perf_counter(), self._processor()
        await asyncio.sleep(SECONDS)
        self._counting = self.running = False
        seconds, after = time.perf_counter() - began, self._processor()
        used = [(now - then) / max(self._counted, 1) * 1e6 for now, then in zip(after, before, strict=True)]
        self.figures = Figures(self._counted / seconds, *used)

    def _processor(self) -> tuple[float, float]:
        return processor_of_this(), processor_of_server(self._server_pid)


def processor_of_this() -> float:
    """Seconds of this process and of its children that ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def processor_of_server(pid: int) -> float:
    """Seconds of a server with all its processes, ended ones included."""
    return sum(_ticks(each) for each in _family(pid)) / TICKS


def _family(server_pid: int) -> list[int]:
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid == server_pid or _stat(pid)[1:2] == [str(server_pid)]]


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ticks(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:15]))  # utime, stime, and those of children that ended
