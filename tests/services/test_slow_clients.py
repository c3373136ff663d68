"""A request that does not arrive completely is ended, by services that run as their process runs them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from services.kit.service.protocol import ARRIVAL_SECONDS_MAX
from services.kit.wire.asgi import BODY_SECONDS_MAX
from tests.architecture.rules import ROOT
from tests.conftest import Database
from tests.tokens import KEY, authorization, jwk, key_set
from tests.waiting import SECONDS_MAX
from tools.knative_local.ports import free_port
from tools.knative_local.secrets import signing_key

PART_SECONDS = 1.0
NOWHERE = "127.0.0.1:9"
ENVIRON = {
    "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LOG_LEVEL": "ERROR", "KAFKA_BOOTSTRAP_SERVERS": NOWHERE,
    "ZEROCART_TOKEN_KEYS": key_set(jwk(KEY)),
    "ZEROCART_VAULT_KEYS": "v" * 32, "ZEROCART_ACCOUNT_KEY": "a" * 32, "ZEROCART_MAIL_TOKEN_KEYS": "m" * 32,
    "ZEROCART_CLIENTS": "{}",
}  # fmt: skip
TOKEN = f"Host: x\r\nAuthorization: {authorization()['Authorization']}\r\n"
JSON = "Content-Type: application/json\r\n"
FORM = "Host: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
ANNOUNCED, CHUNKED = "Content-Length: 1000\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
STALLED = {
    "nothing comes": ("orders", "", "", b""),
    "the head stops": ("orders", "POST /ord", "", b""),
    "the head trickles": ("orders", f"POST /orders HTTP/1.1\r\n{TOKEN}X: ", "x", b""),
    "an announced body stops": ("orders", f"POST /orders HTTP/1.1\r\n{TOKEN}{JSON}{ANNOUNCED}", "", b"408"),
    "an announced body trickles": ("orders", f"POST /orders HTTP/1.1\r\n{TOKEN}{JSON}{ANNOUNCED}", " ", b"408"),
    "chunks stop": ("orders", f"POST /orders HTTP/1.1\r\n{TOKEN}{JSON}{CHUNKED}", "", b"408"),
    "chunks trickle": ("orders", f"PATCH /orders/x HTTP/1.1\r\n{TOKEN}{JSON}{CHUNKED}", "1\r\n \r\n", b"408"),
    "a form trickles": ("users", f"POST /token HTTP/1.1\r\n{FORM}{ANNOUNCED}", "x", b"408"),
    "a body without a token trickles": ("users", f"POST /users HTTP/1.1\r\nHost: x\r\n{JSON}{ANNOUNCED}", " ", b"408"),
    "a body that nobody reads": ("orders", f"POST /orders HTTP/1.1\r\nHost: x\r\n{ANNOUNCED}", " ", b"401"),
    "a body for no route": ("orders", f"POST /x HTTP/1.1\r\nHost: x\r\n{ANNOUNCED}", " ", b"404"),
    "a body for the health check": ("orders", f"GET /healthz/live HTTP/1.1\r\nHost: x\r\n{ANNOUNCED}", " ", b"200"),
    "an event": ("orders", f"POST /events HTTP/1.1\r\nHost: x\r\n{ANNOUNCED}", " ", b""),
}
"""The service, the beginning of the request, what comes every second, and the status that is answered, if any."""


@contextmanager
def started(service: str, dsn: str = f"postgresql://nobody@{NOWHERE}/x") -> Generator[int]:
    """The port of a service that does not reach Kafka."""
    port = free_port()
    environ = {**ENVIRON, "PORT": str(port), "ZEROCART_SIGNING_KEYS": signing_key(), "ZEROCART_DATABASE_URL": dsn}
    process = subprocess.Popen([sys.executable, "-m", "services.run", service], env=environ, cwd=ROOT)
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while socket.socket().connect_ex(("127.0.0.1", port)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(40)


def dropped(port: int, head: str, part: str) -> tuple[float, bytes]:
    """Seconds until the service closes the connection, and its answer, if `part` comes every second."""
    answer, began = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(head.encode())
        client.settimeout(PART_SECONDS)
        while time.monotonic() - began < 2 * ARRIVAL_SECONDS_MAX:
            try:
                if not (got := client.recv(65_536)):
                    break
                answer += got
            except TimeoutError:
                client.sendall(part.encode())
            except OSError:
                break
    return time.monotonic() - began, answer


def test_a_connection_without_a_complete_request_is_closed(database: Database):
    with ExitStack() as stack, ThreadPoolExecutor(len(STALLED)) as pool:
        ports = {
            service: stack.enter_context(started(service, database.dsn(service))) for service in ("orders", "users")
        }
        tries = {name: pool.submit(dropped, ports[each[0]], *each[1:3]) for name, each in STALLED.items()}
        for name, tried in tries.items():
            seconds, answer = tried.result()
            status = STALLED[name][3]
            assert BODY_SECONDS_MAX - 1 < seconds < 2 * ARRIVAL_SECONDS_MAX, name
            assert answer.startswith(b"HTTP/1.1 " + status if status else b""), (name, answer[:100])
            assert bool(answer) == bool(status), name


FRAMED = {
    "no number": "Transfer-Encoding: chunked\r\n\r\nz\r\n{}\r\n0\r\n\r\n",
    "too many bytes": "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "bare line feeds": "Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "a length beside chunks": "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks beside a length": "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two codings": "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.fixture(scope="module")
def orders() -> Generator[int]:
    with started("orders") as port:
        yield port


@pytest.mark.parametrize("name", FRAMED)
def test_a_request_without_clear_bounds_gets_400_and_loses_its_connection(orders: int, name: str):
    seconds, answer = dropped(orders, f"POST /orders HTTP/1.1\r\n{TOKEN}{JSON}{FRAMED[name]}", "")
    assert answer.startswith(b"HTTP/1.1 400 "), answer
    assert seconds < 5


def test_a_service_speaks_no_http_2(orders: int):
    _, answer = dropped(orders, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "")
    assert answer.startswith(b"HTTP/1.1 400 ")
