"""What the local cluster remembers between starts, and tells the `zerocart` command: files under `.zerocart/`."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["AlreadyRunningError", "Running", "State"]


class AlreadyRunningError(Exception):
    """Another process runs a cluster on this state."""


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


class State:
    """The folder of one cluster."""

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()

    @classmethod
    def from_environment(cls) -> State:
        """The folder that ZEROCART_HOME names, or `.zerocart` here."""
        return cls(Path(os.environ.get("ZEROCART_HOME", ".zerocart")))

    def lock(self) -> int:
        """Take the folder for this process until it ends; AlreadyRunningError if it is taken."""
        self.home.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise AlreadyRunningError(f"a cluster runs on {self.home} already") from error
        return fd

    def locked(self) -> bool:
        """Whether a cluster runs on this folder."""
        try:
            os.close(self.lock())
        except AlreadyRunningError:
            return True
        return False

    def running(self) -> Running | None:
        """The cluster that is up on this folder, if one is."""
        if not (self.home / "lock").exists() or not self.locked():
            return None
        try:
            return Running(**json.loads((self.home / "running.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None  # it is coming up

    def write_running(self, running: Running) -> None:
        """Tell others that the cluster is up."""
        self._write("running.json", json.dumps(asdict(running)))

    def forget_running(self) -> None:
        """Tell others that it is not."""
        (self.home / "running.json").unlink(missing_ok=True)

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

    def ports(self) -> dict[str, str]:
        """The ports that services had last time."""
        return self._read("ports.json")

    def remember_ports(self, ports: Mapping[str, int]) -> None:
        """Keep the ports for the next start."""
        self._write("ports.json", json.dumps({name: str(port) for name, port in ports.items()}))

    def _read(self, name: str) -> dict[str, str]:
        file = self.home / name
        return json.loads(file.read_text()) if file.exists() else {}

    def _write(self, name: str, text: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        staging = self.home / f"{name}.new"
        staging.touch(mode=0o600)
        staging.write_text(text)
        staging.rename(self.home / name)
