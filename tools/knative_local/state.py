"""The state folder of a local cluster, readable by its owner only: data that outlives it, and its addresses."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tools.knative_local.files import write_whole

__all__ = ["UNKNOWN", "AlreadyRunningError", "Running", "State", "StateFolderError"]

PRIVATE = 0o700
READABLE = 0o066
LOCK = "lock"
UNKNOWN = 0
"""No process id: a signal to it would reach the process group of whoever sends it."""


class AlreadyRunningError(Exception):
    """Another process runs a cluster on this state folder."""


class StateFolderError(Exception):
    """The state folder cannot be used; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Running:
    """A cluster that is up; the addresses are on loopback."""

    pid: int
    edge_url: str
    control_url: str
    owner_dsn: str
    read_owner_dsn: str
    admin_dsn: str
    bootstrap_servers: str
    topic: str
    archive: str = ""
    """The folder of archived events."""


class State:
    """The folder of one cluster."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @classmethod
    def from_environment(cls) -> State:
        """The folder that ZEROCART_HOME names, or `.zerocart` here."""
        return cls(Path(os.environ.get("ZEROCART_HOME", ".zerocart")))

    def folder(self, *parts: str) -> Path:
        """A folder below the state folder, or that itself, made for its owner alone if it is missing."""
        found = self.home.joinpath(*parts)
        try:
            for folder in (self.home, found):
                folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
        except OSError as error:
            raise self._unusable(error) from error
        return found

    def lock(self) -> int:
        """Take the folder for this process until it ends; AlreadyRunningError if another process has it."""
        try:
            fd = os.open(self.folder() / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        if not _take(fd):
            os.close(fd)
            raise AlreadyRunningError(f"A cluster runs on {self.home} already.")
        os.ftruncate(fd, 0)  # at once: the id in it may be another program's now
        if self.home.stat().st_mode & READABLE:
            self.home.chmod(PRIVATE)  # an older release made it for everybody
        os.write(fd, str(os.getpid()).encode())
        return fd

    def holder(self) -> int | None:
        """The process whose cluster is up, or starts or stops, on this folder; None if there is none.

        UNKNOWN for the moment in which a process has taken the folder and has not written its id.
        """
        try:
            fd = os.open(self.home / LOCK, os.O_RDWR)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        try:
            return None if _take(fd) else int(os.read(fd, 20) or UNKNOWN)
        finally:
            os.close(fd)

    def locked(self) -> bool:
        """Whether a cluster is up, starts or stops on this folder."""
        return self.holder() is not None

    def running(self) -> Running | None:
        """The cluster that is up on this folder; None if there is none, or it starts or stops."""
        holder = self.holder()
        try:
            running = Running(**json.loads((self.home / "running.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return running if running.pid == holder else None

    def write_running(self, running: Running) -> None:
        """Publish the addresses of the cluster that is up."""
        self._write("running.json", json.dumps(asdict(running)))

    def forget_running(self) -> None:
        """Withdraw them."""
        (self.home / "running.json").unlink(missing_ok=True)

    def _unusable(self, error: OSError) -> StateFolderError:
        return StateFolderError(
            f"The state folder {self.home} cannot be used: {error.strerror}. Set ZEROCART_HOME to another folder."
        )

    def passwords(self, services: Mapping[str, object] | set[str]) -> dict[str, str]:
        """A password for each service's database role, made once."""
        known = self._read("passwords.json")
        known |= {service: secrets.token_urlsafe(24) for service in services if service not in known}
        self._write("passwords.json", json.dumps(known))
        return known

    def secrets(self, makers: Mapping[str, Callable[[], str]]) -> dict[str, str]:
        """The secret of each name, made once."""
        known = self._read("secrets.json")
        known |= {name: make() for name, make in makers.items() if name not in known}
        self._write("secrets.json", json.dumps(known))
        return known

    def known_secrets(self) -> dict[str, str]:
        """The secrets that were made before."""
        return self._read("secrets.json")

    def ports(self) -> dict[str, str]:
        """The ports that services had last time."""
        return self._read("ports.json")

    def remember_ports(self, ports: Mapping[str, int]) -> None:
        """Keep the ports for the next start."""
        self._write("ports.json", json.dumps({name: str(port) for name, port in ports.items()}))

    def _read(self, name: str) -> dict[str, str]:
        file = self.home / name
        try:
            found: dict[str, str] = json.loads(file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise StateFolderError(f"The file {file} is damaged ({error}): put it back from a backup.") from error
        return found

    def _write(self, name: str, text: str) -> None:
        write_whole(self.folder() / name, text)


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
