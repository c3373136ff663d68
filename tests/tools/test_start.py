"""The parts of the local cluster start as long as they make progress, on their own ports, for the owner only."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.waiting import SECONDS_MAX
from tools.knative_local.cluster import Cluster, Options
from tools.knative_local.files import write_whole
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.ports import free_port, holder_of, is_free, kept_or_free, listens, listens_alone
from tools.knative_local.postgres import PostgresServer
from tools.knative_local.process import Say, ServerFailedError, Work, spawn, stop, wait_for_port
from tools.knative_local.server import Server
from tools.knative_local.state import UNKNOWN, AlreadyRunningError, Running, State
from tools.zerocart.down import take_down

LISTEN = "import socket, time; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(60)"
SHARE = (
    "import socket, time; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1);"
    " s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(60)"
)

IPV6 = Path("/proc/net/if_inet6")
ADDRESSES = ["127.0.0.1", "0.0.0.0", *(["::"] if IPV6.exists() and IPV6.read_text() else [])]


@pytest.fixture
def start(tmp_path: Path):
    started: list[subprocess.Popen[bytes]] = []

    def start(code: str) -> subprocess.Popen[bytes]:
        process = spawn([sys.executable, "-u", "-c", code], log=tmp_path / "log")
        started.append(process)
        return process

    yield start
    for process in started:
        stop(process, signal.SIGKILL, 5)


def until(condition) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_start_with_progress_may_take_longer_than_the_limit(tmp_path: Path, start, monkeypatch) -> None:
    monkeypatch.setenv("ZEROCART_START_SECONDS", "3")
    port = free_port()
    told: list[str] = []
    monkeypatch.setattr("tools.knative_local.process.TELL_SECONDS", 0.5)
    writing = "import time\nfor n in range(16): print(n); time.sleep(0.25)\n"
    process = start(writing + LISTEN.format(port=port))
    wait_for_port("the server", process, port, tmp_path / "log", told.append)
    assert told and told[0].startswith("the server is still starting")


def test_processor_time_counts_as_progress(tmp_path: Path, start) -> None:
    now = 0.0
    work = Work(start("while True: pass").pid, tmp_path / "log", lambda: now)
    now = 100.0
    until(lambda: work.idle_seconds() == 0.0)


def test_a_start_without_progress_fails_with_the_end_of_its_log(tmp_path: Path, start, monkeypatch) -> None:
    monkeypatch.setenv("ZEROCART_START_SECONDS", "1")
    process = start("import time; print('waiting for the moon'); time.sleep(60)")
    with pytest.raises(ServerFailedError, match=r"(?s)no progress for 1 s.*ZEROCART_START_SECONDS.*the moon"):
        wait_for_port("the server", process, free_port(), tmp_path / "log")


def test_a_server_that_ends_is_reported_with_its_last_lines(tmp_path: Path, start) -> None:
    process = start("raise SystemExit('No space left on device')")
    with pytest.raises(ServerFailedError, match=r"(?s)ended with status 1.*No space left on device"):
        wait_for_port("the server", process, free_port(), tmp_path / "log")


def test_new_log_lines_count_as_progress(tmp_path: Path) -> None:
    now = 0.0
    work = Work(2**22 + 1, tmp_path / "log", lambda: now)  # no process has this number
    now = 5.0
    assert work.idle_seconds() == 5.0
    (tmp_path / "log").write_text("x")
    assert work.idle_seconds() == 0.0


def test_another_program_on_the_port_is_not_mistaken_for_the_server(tmp_path: Path, start) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        process = start("import time; time.sleep(60)")
        with pytest.raises(ServerFailedError, match=f"port {port}: process {os.getpid()}"):
            wait_for_port("the server", process, port, tmp_path / "log")


def test_a_port_shared_with_another_program_is_in_use(start) -> None:
    port = free_port()
    one = start(SHARE.format(port=port))
    until(lambda: listens(one.pid, port))
    assert listens_alone(one.pid, port)
    assert not is_free(port)
    two = start(SHARE.format(port=port))
    until(lambda: listens(two.pid, port))
    assert not listens_alone(one.pid, port)
    assert not listens_alone(two.pid, port)


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_port_is_in_use_if_any_loopback_address_has_it(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as holder:
        holder.bind((address, 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert not is_free(port)
        assert str(os.getpid()) in (holder_of(port) or "")
    assert is_free(port)
    assert holder_of(port) is None


def test_a_recorded_port_that_is_in_use_is_replaced(monkeypatch) -> None:
    monkeypatch.setattr("tools.knative_local.ports.KEPT_SECONDS_MAX", 0.3)
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert kept_or_free(taken) != taken
        threading.Timer(0.1, holder.close).start()
        monkeypatch.setattr("tools.knative_local.ports.KEPT_SECONDS_MAX", 10)
        assert kept_or_free(taken) == taken


def test_the_state_folder_is_for_its_owner_alone(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    state = State(home)
    assert state.folder("logs").stat().st_mode & 0o777 == home.stat().st_mode & 0o777 == 0o700
    old = tmp_path / "old"
    old.mkdir(mode=0o755)
    os.close(State(old).lock())
    assert old.stat().st_mode & 0o777 == 0o700


def test_the_holder_of_a_state_folder_is_known_while_it_starts(tmp_path: Path) -> None:
    state = State(tmp_path)
    assert state.holder() is None
    lock = state.lock()
    assert state.holder() == os.getpid()
    assert state.running() is None
    with pytest.raises(AlreadyRunningError):
        state.lock()
    addresses = dict.fromkeys(
        ("edge_url", "control_url", "owner_dsn", "read_owner_dsn", "admin_dsn", "bootstrap_servers", "topic"), "x"
    )
    state.write_running(Running(pid=1, **addresses))
    assert state.running() is None, "left behind by a cluster that was killed"
    state.write_running(Running(pid=os.getpid(), **addresses))
    assert state.running() is not None
    os.close(lock)
    assert state.holder() is None and state.running() is None


def test_a_holder_that_has_not_written_its_id_gets_no_signal(tmp_path: Path) -> None:
    state = State(tmp_path)
    lock = state.lock()
    os.ftruncate(lock, 0)
    assert state.holder() == UNKNOWN
    threading.Timer(0.3, os.close, [lock]).start()
    assert take_down(state) is False, "it has ended by itself"


FULL = """
import resource, signal, sys
from pathlib import Path
from tools.knative_local.files import write_whole
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
write_whole(Path(sys.argv[1]), "5433")
"""


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "port"
    write_whole(file, "5432")
    assert subprocess.run([sys.executable, "-c", FULL, str(file)], capture_output=True, check=False).returncode != 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("5432", 0o600)


def test_servers_start_in_any_locale_and_folder_on_what_a_full_disk_has_left(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    for kind, name in ((PostgresServer, "port"), (KafkaServer, "ports")):
        file = tmp_path / f"blank and ü {name}" / name
        server = kind(file.parent)
        file.parent.mkdir()
        file.touch()
        server.start()
        server.stop()
        assert file.read_text()


class OnAFullDisk(Server):
    """A server that has died and finds no room to start again."""

    def __init__(self) -> None:
        super().__init__(Path(), "log")
        self.starts = 0

    def begin(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    def wait(self, say: Say = print) -> None:
        raise AssertionError("it never starts")


class WithoutRoom(OnAFullDisk):
    room_bytes_min = 10**18


async def test_no_server_starts_while_the_disk_has_no_room(tmp_path: Path) -> None:
    said: list[str] = []
    cluster = Cluster(Options(State(tmp_path), tmp_path), said.append)
    server = WithoutRoom()
    cluster.postgres = cluster.kafka = server  # type: ignore[assignment]
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, stopping.set)
    await cluster._keep_running(stopping)
    assert server.starts == 0
    (line,) = said
    assert "is full" in line


async def test_a_full_disk_ends_no_cluster(tmp_path: Path) -> None:
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if "Kafka" in line:
            raise OSError(errno.ENOSPC, "No space left on device")

    cluster = Cluster(Options(State(tmp_path), tmp_path), say)
    server = OnAFullDisk()
    cluster.postgres = cluster.kafka = server  # type: ignore[assignment]
    stopping = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, stopping.set)
    await cluster._keep_running(stopping)
    assert server.starts >= 2, "Postgres and Kafka"
    assert [line for line in said if "No space left" in line] == [
        "tried again later: [Errno 28] No space left on device"
    ]
