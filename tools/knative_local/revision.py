"""The processes of one service. Its listening socket stays open without a process; a connection starts one.

The cluster owns the socket and hands it to each process, so a connection waits in the kernel's queue while a process
starts, without a proxy in between. On Kubernetes activator and autoscaler do this.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.knative_local.free_cores import FreeCores
from tools.knative_local.manifests import Service
from tools.knative_local.process import Process, StartModule, spawn_module

__all__ = ["TICK_SECONDS", "Pod", "Revision", "listen"]

BACKLOG = 4096
TICK_SECONDS = 0.1
BUSY_TICKS = 3
"""Consecutive busy ticks after which another process starts. A tick is busy if more requests are in progress than the
target, as for Knative's autoscaler, or if connections wait although a core is free."""
TARGET_UTILIZATION = 0.7
STOP_SECONDS_MAX = 40.0
CRASH_BACKOFF_SECONDS_MAX = 10.0
STEADY_SECONDS = 10.0
"""A process that lived this long is not part of a crash loop."""
TCP_INFO_UNACKED = slice(24, 28)
"""Of a listening socket: how many connections wait to be accepted (struct tcp_info, tcpi_unacked)."""


@dataclass(slots=True)
class Pod:
    """One process of a service and what it reported."""

    process: Process
    report_fd: int
    spawned_at: float
    ready: bool = False
    in_flight: int = 0
    stopping_since: float | None = None
    unread: bytes = b""


@dataclass(slots=True)
class Counts:
    """Counts since the cluster started."""

    starts: int = 0
    crashes: int = 0
    last_cold_start_ms: float | None = None
    process_seconds: float = 0.0


class Revision:
    """Starts, counts and stops the processes of one service."""

    def __init__(
        self,
        service: Service,
        listener: socket.socket,
        environ: Mapping[str, str],
        log: Path,
        cores: FreeCores,
        start_module: StartModule = spawn_module,
    ) -> None:
        self.service = service
        self._cores = cores
        self.counts = Counts()
        self._listener = listener
        self.environ = environ
        self._log = log
        self._start_module = start_module
        self._pods: list[Pod] = []
        self._quiet_since = time.monotonic()
        self._busy_ticks = 0
        self._crashes_in_a_row = 0
        self._not_before = 0.0
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._watching = False

    @property
    def port(self) -> int:
        """The port of the service."""
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def pods(self) -> list[Pod]:
        """The processes now."""
        return self._pods

    def status(self) -> dict[str, object]:
        """The processes and the counts, for `zerocart status`."""
        cold = self.counts.last_cold_start_ms
        return {
            "processes": len(self._pods),
            "pids": [pod.process.pid for pod in self._pods],
            "in_flight": sum(pod.in_flight for pod in self._pods),
            "starts": self.counts.starts,
            "crashes": self.counts.crashes,
            "last_cold_start_ms": round(cold) if cold is not None else None,
            "url": f"http://127.0.0.1:{self.port}",
        }

    def tick(self) -> None:
        """Start, count and stop processes; called every TICK_SECONDS."""
        now = time.monotonic()
        for pod in list(self._pods):
            self._read_report(pod)
            self._reap(pod, now)
        if self._closing:
            return
        alive = [pod for pod in self._pods if pod.stopping_since is None]
        waiting = self._waiting()
        if len(alive) < self.service.min_scale or (waiting and not alive):
            self._start(now)
        elif not self._pods:
            self._watch()
        else:
            self._scale(alive, waiting, now)

    async def close(self) -> None:
        """Stop every process and close the socket."""
        self._closing = True
        self._unwatch()
        for pod in self._pods:
            self._stop(pod, time.monotonic())
        while self._pods:
            self.tick()
            await asyncio.sleep(0.05)
        self._listener.close()

    def _watch(self) -> None:
        if not self._watching and not self._closing:
            self._watching = True
            self._loop.add_reader(self._listener.fileno(), self._woken)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self._loop.remove_reader(self._listener.fileno())

    def _woken(self) -> None:
        self._unwatch()
        self._start(time.monotonic())

    def _start(self, now: float) -> None:
        if now < self._not_before:
            return  # it crashed just now: a later tick starts it
        self._unwatch()
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        fd = self._listener.fileno()
        environ = {**self.environ, "ZEROCART_LISTEN_FD": str(fd), "ZEROCART_REPORT_FD": str(write_end)}
        words = ("services.run", self.service.name)
        try:
            process = self._start_module(*words, log=self._log, environ=environ, pass_fds=(fd, write_end))
        finally:
            os.close(write_end)
        self.counts.starts += 1
        self._quiet_since = now
        pod = Pod(process, read_end, now)
        self._pods.append(pod)
        self._loop.add_reader(read_end, self._read_report, pod)

    def _read_report(self, pod: Pod) -> None:
        try:
            data = os.read(pod.report_fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(pod.report_fd)
            return
        *lines, pod.unread = (pod.unread + data).split(b"\n")
        if not lines:
            return
        if not pod.ready:
            pod.ready = True
            self.counts.last_cold_start_ms = (time.monotonic() - pod.spawned_at) * 1000
        pod.in_flight = int(lines[-1])
        self._quiet_since = time.monotonic()

    def _reap(self, pod: Pod, now: float) -> None:
        if pod.process.poll() is None:
            if pod.stopping_since is not None and now - pod.stopping_since > STOP_SECONDS_MAX:
                pod.process.kill()
            return
        self._pods.remove(pod)
        self._loop.remove_reader(pod.report_fd)
        os.close(pod.report_fd)
        self.counts.process_seconds += now - pod.spawned_at
        if pod.stopping_since is None:
            self.counts.crashes += 1
            steady = now - pod.spawned_at > STEADY_SECONDS
            self._crashes_in_a_row = 0 if steady else self._crashes_in_a_row + 1
            backoff = min(0.1 * 2**self._crashes_in_a_row, CRASH_BACKOFF_SECONDS_MAX)
            self._not_before = now + (0 if steady else backoff)

    def _scale(self, alive: list[Pod], waiting: int, now: float) -> None:
        in_flight = sum(pod.in_flight for pod in alive)
        limit = self.service.container_concurrency
        crowded = bool(limit) and in_flight > TARGET_UTILIZATION * limit * len(alive)
        busy = crowded or (waiting > 0 and self._cores.exist)
        self._busy_ticks = self._busy_ticks + 1 if busy and all(pod.ready for pod in alive) else 0
        if in_flight or waiting:
            self._quiet_since = now
        if self._busy_ticks >= BUSY_TICKS and len(alive) < self._max_scale():
            self._busy_ticks = 0
            self._start(now)
        elif now - self._quiet_since > self.service.window_seconds:
            for pod in alive[self.service.min_scale :]:
                if pod.ready:
                    self._stop(pod, now)

    def _max_scale(self) -> int:
        cores = os.cpu_count() or 1
        return min(self.service.max_scale, cores) if self.service.max_scale else cores

    def _stop(self, pod: Pod, now: float) -> None:
        if pod.stopping_since is None:
            pod.stopping_since = now
            with contextlib.suppress(ProcessLookupError):
                pod.process.send_signal(signal.SIGTERM)

    def _waiting(self) -> int:
        info = self._listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 32)
        waiting: int = struct.unpack("=I", info[TCP_INFO_UNACKED])[0]
        return waiting


def listen(port: int) -> socket.socket:
    """A listening loopback socket, on `port` if it is free, else on any."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted connections inherit this. uvicorn takes an inherited socket for a Unix one and leaves Nagle's algorithm
    # on: the body of an answer would then wait 40 ms for the delayed acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG)
    listener.setblocking(False)
    return listener
