"""PgBouncer in transaction mode in front of a Postgres of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import pytest

from services.kit.eventstore.grants import role_of
from tests.waiting import SECONDS_MAX

__all__ = ["running_pooler", "through"]

SERVER_CONNECTIONS = 2
"""Fewer than the clients have, so that every transaction may get another one."""
CONFIG = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users.txt
pool_mode = transaction
default_pool_size = {connections}
logfile = {folder}/pgbouncer.log
"""


@contextmanager
def running_pooler(server_dsn: str, passwords: Mapping[str, str]) -> Generator[int]:
    """The port of a PgBouncer in front of a server; skips the test where PgBouncer is not installed."""
    program = shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")
    if program is None:
        pytest.skip("pgbouncer is not installed (Debian's package pgbouncer)")
    port = _free_port()
    with TemporaryDirectory(prefix="pooler") as name:
        folder = Path(name)
        folder.chmod(0o777)  # as root it runs as another user, because it refuses to run as root
        as_user = ["-u", "nobody"] if os.geteuid() == 0 else []
        config = _configured(folder, server_dsn, port, passwords)
        process = subprocess.Popen([program, "-q", *as_user, str(config)])
        try:
            _wait(process, port, folder)
            yield port
        finally:
            process.terminate()
            process.wait()


def through(dsn: str, port: int) -> str:
    """The address of the same database through the pooler."""
    parts = urlsplit(dsn)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@127.0.0.1:{port}", query="pooler=transaction").geturl()


def _configured(folder: Path, dsn: str, port: int, passwords: Mapping[str, str]) -> Path:
    server = urlsplit(dsn)
    settings = {"host": server.hostname, "port": server.port, "listen_port": port}
    (folder / "users.txt").write_text("".join(f'"{role_of(name)}" "{word}"\n' for name, word in passwords.items()))
    file = folder / "pgbouncer.ini"
    file.write_text(CONFIG.format(folder=folder, connections=SERVER_CONNECTIONS, **settings))
    return file


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    log = folder / "pgbouncer.log"
    raise AssertionError(f"pgbouncer did not start: {log.read_text() if log.exists() else 'no log'}")
