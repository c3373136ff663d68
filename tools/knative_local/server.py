"""A server that the local cluster runs as a child process: Postgres or Kafka."""

from __future__ import annotations

import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from tools.knative_local.process import Say, ServerFailedError, stop

__all__ = ["STOP_SECONDS_MAX", "Server"]

STOP_SECONDS_MAX = 20.0


class Server(ABC):
    """One server; its data and port are kept in `folder` for the next start."""

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    room_bytes_min: ClassVar[int] = 1_000_000

    def __init__(self, folder: Path, log_name: str) -> None:
        self._folder = folder
        self._log = folder / log_name
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def pid(self) -> int:
        """The process id; 0 if it does not run."""
        return self._process.pid if self._process else 0

    def start(self) -> None:
        """Start and wait until it answers; ServerFailedError if it does not come up."""
        self.begin()
        self.wait()

    @abstractmethod
    def begin(self) -> subprocess.Popen[bytes]:
        """Start without waiting."""

    @abstractmethod
    def wait(self, say: Say = lambda _: None) -> None:
        """Wait until it answers, as long as it makes progress; ServerFailedError if it ends or stands still."""

    def require_room(self) -> None:
        """ServerFailedError if the disk is full: a start would only cost processor time, again and again."""
        if shutil.disk_usage(self._folder).free < self.room_bytes_min:
            raise ServerFailedError(f"The disk of {self._folder} is full: the server starts when there is room.")

    def stop(self) -> None:
        """Stop in order."""
        if self._process is not None:
            stop(self._process, self.stop_signal, STOP_SECONDS_MAX)
            self._process = None

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None
