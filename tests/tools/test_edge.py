"""The running edge: Caddy with our Caddyfile, in front of a server that records what reached it."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from scripts.openapi import DOCUMENT
from services.folders import SERVICES
from tests.architecture.rules import ROOT
from tests.services.test_access import PUBLIC_ROUTES, SCOPES
from tests.waiting import SECONDS_MAX
from tools.knative_local.ports import free_port

ORIGINS = ("https://shop.example", "http://localhost:3000")
STRANGERS = (
    "https://evil.example",
    "null",
    "https://shop.example.evil.example",
    ",".join(ORIGINS),
    "https://SHOP.example",
)
HARDENED = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
QUIET_SECONDS = 1.0


@dataclass
class Reached:
    """The requests of the running test that reached the server behind the edge.

    Each request says in `X-Test` which test sent it: one that the edge gave up may still arrive during the next test.
    """

    test: int = 0
    lines: list[str] = field(default_factory=list[str])
    headers: list[list[tuple[str, str]]] = field(default_factory=list[list[tuple[str, str]]])


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    reached: Reached

    def answer(self) -> None:
        if self.headers.get("x-test", str(self.reached.test)) == str(self.reached.test):
            self.reached.lines.append(f"{self.command} {self.path}")
            self.reached.headers.append([(name.lower(), value) for name, value in self.headers.items()])
        if not self.came_whole():
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"{}")

    def came_whole(self) -> bool:
        """Whether the body was sent to its end: like the services, nothing is answered before it is read."""
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            length = int(self.headers.get("content-length", 0))
            return len(self.rfile.read(length)) == length
        while size := self.rfile.readline():
            if len(self.rfile.read(int(size, 16) + 2)) < 2 or not int(size, 16):
                break
        return size.strip() == b"0"

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def log_message(self, format: str, *args: object) -> None: ...


@dataclass(frozen=True)
class Edge:
    port: int
    reached: Reached

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def raw(self, request: bytes, seconds: float = 10.0) -> bytes:
        """Whatever is answered until the connection is closed or nothing comes any more."""
        found = b""
        with socket.create_connection(("127.0.0.1", self.port)) as client:
            client.settimeout(seconds)
            client.sendall(request.replace(b"Host: x\r\n", b"Host: x\r\nX-Test: %d\r\n" % self.reached.test, 1))
            try:
                while part := client.recv(65_536):
                    found += part
            except OSError:
                return found
        return found


@pytest.fixture(scope="module")
def edge(tmp_path_factory) -> Generator[Edge]:
    Upstream.reached = reached = Reached()
    upstream = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=upstream.serve_forever, daemon=True).start()
    home, port, gone = str(tmp_path_factory.mktemp("edge")), free_port(), free_port()
    at = f"127.0.0.1:{upstream.server_port}"
    environ = {
        "PATH": os.environ["PATH"], "HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home,
        "EDGE_PORT": str(port), "EDGE_BIND": "127.0.0.1", "EDGE_FILES": str(DOCUMENT.parent), "ZEROCART_CORS_ORIGINS": ",".join(ORIGINS),
        **{f"{name.upper()}_UPSTREAM": at for name in SERVICES}, "SHIPPING_UPSTREAM": f"127.0.0.1:{gone}",
    }  # fmt: skip
    caddy = [str(Path(sys.executable).parent / "caddy"), "run", "--config", str(ROOT / "docker/edge/Caddyfile")]
    process = subprocess.Popen([*caddy, "--adapter", "caddyfile"], env=environ, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + SECONDS_MAX
    while socket.socket().connect_ex(("127.0.0.1", port)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        yield Edge(port, reached)
    finally:
        process.terminate()
        process.wait(30)
        upstream.shutdown()


@pytest.fixture
def client(edge: Edge) -> Generator[httpx.Client]:
    edge.reached.test += 1
    edge.reached.lines.clear()
    edge.reached.headers.clear()
    named = {"Authorization": "Bearer x", "X-Test": str(edge.reached.test)}
    with httpx.Client(base_url=edge.url, timeout=30, headers=named) as client:
        yield client


ROUTES = sorted(route for route in PUBLIC_ROUTES | set(SCOPES) if "/projection/" not in route)


@pytest.mark.parametrize("version", ["", "/v1"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_request_without_a_token_starts_no_service_unless_its_route_is_public(
    edge: Edge, client: httpx.Client, route: str, version: str
):
    del client.headers["Authorization"]
    method, _, path = route.partition(" ")
    path = path.replace("{", "x").replace("}", "y")
    answer = client.request(method, version + path, headers={"Origin": ORIGINS[0]})
    if route in PUBLIC_ROUTES:
        assert edge.reached.lines == [f"{method} {path}"]
        return
    assert edge.reached.lines == []
    assert (answer.status_code, answer.json()["code"]) == (401, "no-token")
    assert answer.headers["www-authenticate"] == 'Bearer realm="zerocart"'
    assert answer.headers["access-control-allow-origin"] == ORIGINS[0]


def test_a_public_route_is_matched_by_method_and_whole_path(edge: Edge, client: httpx.Client):
    del client.headers["Authorization"]
    for method, path in (
        ("PUT", "/token"), ("OPTIONS", "/users"), ("POST", "/users/x/y/activate"), ("POST", "/users/x/suspend"),
        ("POST", "/users/x%2Fy/activate"), ("POST", "/token/x"), ("POST", "/.well-known/jwks.json"), ("POST", "/orders/x/activate"),
    ):  # fmt: skip
        assert client.request(method, path).status_code in (401, 404), (method, path)
    assert edge.reached.lines == []


def test_a_path_with_the_version_reaches_the_same_route(edge: Edge, client: httpx.Client):
    for method, path in (
        ("GET", "/orders"),
        ("POST", "/orders"),
        ("GET", "/orders/x%2Fy?at=z"),
        ("DELETE", "/users/x"),
    ):
        assert client.request(method, f"/v1{path}").status_code == 200
        assert edge.reached.lines.pop() == f"{method} {path}"
    for path in (
        "/v2/orders",
        "/v1/v1/orders",
        "/v1",
        "/v1/",
        "/v1orders",
        "/v1/console",
        "/v1/openapi.json",
        "/v1/healthz",
    ):
        assert client.get(path).status_code == 404, path
    assert edge.reached.lines == []


def test_a_preflight_is_answered_for_every_route_and_starts_no_service(edge: Edge, client: httpx.Client):
    for route in ROUTES:
        method, _, path = route.partition(" ")
        asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": "authorization"}
        for origin in ORIGINS:
            answer = client.options(path, headers={"Origin": origin, **asked})
            assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, origin), route
            versioned = client.options(f"/v1{path}", headers={"Origin": origin, **asked})
            assert versioned.headers["access-control-allow-origin"] == origin
            assert method in answer.headers["access-control-allow-methods"]
            for header in ("authorization", "content-type", "idempotency-key", "if-match"):
                assert header in answer.headers["access-control-allow-headers"].lower()
            assert "origin" in answer.headers["vary"].lower()
    assert edge.reached.lines == []
    for stranger in STRANGERS:
        answer = client.options("/orders", headers={"Origin": stranger, "Access-Control-Request-Method": "POST"})
        assert "access-control-allow-origin" not in answer.headers, stranger


def test_refusals_of_the_edge_are_readable_across_origins_without_its_version(client: httpx.Client):
    refusals = [
        (404, client.build_request("GET", "/nothing")),
        (413, client.build_request("POST", "/orders", content=b"x" * 1_100_000)),
        (503, client.build_request("GET", "/shipments/ord_1")),
    ]
    for status, request in refusals:
        for origin in (*ORIGINS, *STRANGERS, ""):
            if origin:
                request.headers["Origin"] = origin
            answer = client.send(request)
            assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
            assert answer.json()["status"] == status
            assert answer.headers.get("access-control-allow-origin") == (origin if origin in ORIGINS else None)
            assert {name: answer.headers.get(name) for name in HARDENED} == HARDENED
            assert "server" not in answer.headers
            if status == 503:  # it takes its time
                break


def test_security_headers_are_set_once(client: httpx.Client):
    answer = client.get("/orders", headers={"Origin": ORIGINS[0]})
    assert {name: answer.headers.get(name) for name in HARDENED} == HARDENED
    assert "access-control-allow-origin" not in answer.headers  # that is for the service to say, and once


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "QUERY", "FOO", "get"])
def test_a_method_that_no_route_has_starts_no_service(edge: Edge, method: str):
    for path in ("/v1/orders", "/orders/ord_1", "/openapi.json", "/console", "/none"):
        request = f"{method} {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer a.b.c\r\nConnection: close\r\n\r\n"
        head, _, body = edge.raw(request.encode()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 501 "), head
        assert b"application/problem+json" in head
        assert json.loads(body)["code"] == "method-not-implemented"
    assert edge.reached.lines == []


def test_the_openapi_document_starts_no_service(edge: Edge, client: httpx.Client):
    for origin in (*ORIGINS, *STRANGERS, ""):
        for method in ("GET", "HEAD"):
            answer = client.request(method, "/openapi.json", headers={"Origin": origin} if origin else {})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json"), method
            assert answer.content == (DOCUMENT.read_bytes() if method == "GET" else b"")
            assert int(answer.headers["content-length"]) == DOCUMENT.stat().st_size
            assert answer.headers.get("access-control-allow-origin") == (origin if origin in ORIGINS else None)
            assert {name: answer.headers.get(name) for name in HARDENED} == HARDENED
            assert "server" not in answer.headers
    for path in ("/OpenAPI.json", "/orders/../openapi.json", "/openapi.json?at=x"):
        assert client.get(path).json()["info"]["title"] == "zerocart", path
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request(method, "/openapi.json").status_code == 404, method
    for path in ("/openapi.json/", "/openapi.json/x", "/openapi", "/openapi.json%00"):
        assert client.get(path).status_code in (400, 404), path
    assert edge.reached.lines == []


def test_the_asyncapi_document_starts_no_service(edge: Edge, client: httpx.Client):
    del client.headers["Authorization"]
    answer = client.get("/asyncapi.json", headers={"Origin": ORIGINS[0]})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["asyncapi"] == "3.0.0"
    assert answer.headers["access-control-allow-origin"] == ORIGINS[0]
    assert edge.reached.lines == []


DOCS = DOCUMENT.parent / "docs"
LINK = re.compile(r'(?:href|src)="([^"]+)"')


def test_the_documentation_is_pages_without_a_script_and_starts_no_service(edge: Edge, client: httpx.Client):
    del client.headers["Authorization"]
    for path, name in (("/docs", "index.html"), ("/docs/", "index.html"), ("/docs/rest.html", "rest.html")):
        answer = client.get(path)
        assert (answer.status_code, answer.content) == (200, (DOCS / name).read_bytes()), path
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "script-src" not in policy
    assert client.get("/docs/style.css").headers["content-type"].startswith("text/css")
    for wrong in (
        "/docs/none.html",
        "/docs/x/index.html",
        "/docs/..%2fCaddyfile",
        "/docs/index.html/",
        "/v1/docs",
        "/docs/index",
    ):
        assert client.get(wrong).status_code == 404, wrong
    assert edge.reached.lines == []


@pytest.mark.parametrize("page", sorted(file.name for file in DOCS.glob("*.html")))
def test_each_link_of_the_documentation_leads_somewhere(client: httpx.Client, page: str):
    text = (DOCS / page).read_text()
    assert "<script" not in text and " style=" not in text
    for link in set(LINK.findall(text)):
        path, _, place = link.partition("#")
        if path.startswith("https:"):
            continue
        found = client.get(path or f"/docs/{page}")
        assert found.status_code == 200, link
        assert not place or f'id="{place}"' in found.text, link


CONSOLE = ROOT / "docker" / "edge" / "console"
CONSOLE_BYTES_MAX = 150_000


def linked(page: str) -> list[str]:
    """The addresses of the files that the page of the console names."""
    return re.findall(r'(?:src|href)="([^"]+)"', page)


def test_the_console_is_one_page_at_all_its_addresses_and_starts_no_service(edge: Edge, client: httpx.Client):
    del client.headers["Authorization"]
    page = (CONSOLE / "index.html").read_bytes()
    for path in ("/console", "/console/", "/console/orders/ord_1?at=x", "/console/nothing"):
        answer = client.get(path)
        assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, page, "no-cache"), path
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy and "http" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert client.request(method, "/console").status_code == 404, method
    assert client.get("/consoles").status_code == 404
    assert edge.reached.lines == []


def test_a_browser_keeps_the_files_of_a_version_of_the_console_and_no_others_exist(edge: Edge, client: httpx.Client):
    first = linked((CONSOLE / "index.html").read_text())  # the others are loaded when a page is opened
    folder, names = first[0].rpartition("/")[0], {file.name for file in CONSOLE.iterdir()} - {"index.html"}
    paths = [f"{folder}/{name}" for name in sorted(names)]
    assert set(first) <= set(paths)
    compressed = len(gzip.compress((CONSOLE / "index.html").read_bytes()))
    for path in paths:
        answer = client.get(path)
        assert answer.content == (CONSOLE / path.rpartition("/")[2]).read_bytes(), path
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        compressed += len(gzip.compress(answer.content))
    assert compressed <= CONSOLE_BYTES_MAX
    for wrong in (f"{folder}x/main.js", "/console/assets/000000000000/main.js", f"{folder}/index.html", f"{folder}/../main.js",
                  f"{folder}/..%2fopenapi.json", f"{folder}/Caddyfile", f"{folder}/", f"{folder}/none.js"):  # fmt: skip
        answer = client.get(wrong)
        assert answer.status_code == 404 or answer.content == (CONSOLE / "index.html").read_bytes(), wrong
        assert "immutable" not in answer.headers.get("cache-control", ""), wrong
    assert edge.reached.lines == []


HIDDEN = ("events", "metrics", "healthz/live", "projection/views", "docs/../Caddyfile", "Caddyfile", "Dockerfile")
TRICKS = (
    "/{}", "//{}", "/orders/../{}", "/orders/%2e%2e/{}", "/orders/..%2f{}", "/orders/%2e%2e%2f{}", "/orders%2f..%2f{}",
    "/orders/./../{}", "/users//../{}", "/token/../{}", "/stock/../../{}", "/orders/..//{}", "/./{}", "/%2e/{}", "/orders/x/../../{}",
    "/v1/{}", "/v1//{}", "/v1/../{}", "/v1/orders/../{}", "/v1%2f{}", "/v1/%2e%2e/{}", "/orders/../v1/{}",
)  # fmt: skip


@pytest.mark.parametrize("hidden", HIDDEN)
def test_encoded_paths_reach_no_unnamed_route(edge: Edge, client: httpx.Client, hidden: str):
    # `GET /events` is a route; `POST /events` is the event endpoint of each service
    methods = ("POST",) if hidden == "events" else ("GET", "POST")
    for trick in TRICKS:
        for method in methods:
            path = trick.format(hidden)
            for target in (path, f"http://orders{path}"):
                head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                assert edge.raw(head.encode()).startswith(b"HTTP/1.1 404 "), (method, target)
    encoded = "".join(f"%{ord(letter):02x}" for letter in hidden)
    assert client.request(methods[0], f"/{encoded}").status_code == 404
    assert edge.reached.lines == []


HEAD = "POST /orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Type: application/json\r\n"
SMUGGLED = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
AMBIGUOUS = {
    "two lengths": f"{HEAD}Content-Length: 2\r\nContent-Length: {2 + len(SMUGGLED)}\r\n\r\n{{}}{SMUGGLED}",
    "a length below zero": f"{HEAD}Content-Length: -1\r\n\r\n{SMUGGLED}",
    "a length with a sign": f"{HEAD}Content-Length: +2\r\n\r\n{{}}{SMUGGLED}",
    "another transfer coding": f"{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "two transfer codings": f"{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "a space before the colon": f"{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "a chunk that is no number": f"{HEAD}Transfer-Encoding: chunked\r\n\r\nz\r\n{{}}\r\n0\r\n\r\n{SMUGGLED}",
    "NUL in a header": f"{HEAD}X: a\0b\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "no host": f"POST /orders HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
    "two hosts": f"{HEAD}Host: y\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_requests_are_refused(edge: Edge, client: httpx.Client, name: str):
    answer = edge.raw(AMBIGUOUS[name].encode("latin-1"), QUIET_SECONDS)
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ", b"HTTP/1.1 502 ", b"HTTP/1.1 503 ")), answer[:200]
    assert b"200 OK" not in answer
    assert not [line for line in edge.reached.lines if "metrics" in line]
    assert client.get("/orders").status_code == 200


def test_a_length_beside_chunks_ends_with_the_chunks_and_the_connection(edge: Edge, client: httpx.Client):
    body = f"2\r\n{{}}\r\n0\r\n\r\n{HEAD}Content-Length: 2\r\n\r\n{{}}"
    answer = edge.raw(f"{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{body}".encode(), QUIET_SECONDS)
    assert edge.reached.lines == ["POST /orders"]
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer.lower()
    sent = dict(edge.reached.headers[0])
    assert ("content-length" in sent) != ("transfer-encoding" in sent)


CHUNKS = {
    "no number": "z\r\n{}\r\n0\r\n\r\n",
    "no number after a good one": "2\r\n{}\r\nz\r\n{}\r\n0\r\n\r\n",
    "below zero": "-2\r\n{}\r\n0\r\n\r\n",
    "a prefix": "0x2\r\n{}\r\n0\r\n\r\n",
    "nothing": "\r\n{}\r\n0\r\n\r\n",
    "a huge number": "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "too few bytes": "3\r\n{}\r\n0\r\n\r\n",
    "too many bytes": "2\r\n{}}}\r\n0\r\n\r\n",
    "no end of line": "2\r\n{}0\r\n\r\n",
    "bare line feeds": "2\n{}\n0\n\n",
    "an extension with a line feed": "2;a\nb\r\n{}\r\n0\r\n\r\n",
    "an endless extension": "2;" + "a" * 9_000 + "\r\n{}\r\n0\r\n\r\n",
    "a trailer that is none": "2\r\n{}\r\n0\r\nx y\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_broken_chunks_are_the_fault_of_the_client(edge: Edge, client: httpx.Client, name: str):
    answer = edge.raw(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{CHUNKS[name]}".encode(), QUIET_SECONDS)
    assert answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert b"connection: close" in answer.lower()
    assert b"retry-after" not in answer.lower()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "bad-chunks"


@pytest.mark.parametrize("chunks", ["2\r\n{}\r\n0\r\n\r\n", "2;a=b\r\n{}\r\n0\r\nX: y\r\n\r\n", "0\r\n\r\n"])
def test_sound_chunks_are_accepted(edge: Edge, client: httpx.Client, chunks: str):
    answer = edge.raw(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{chunks}".encode(), QUIET_SECONDS)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert edge.reached.lines == ["POST /orders"]


def test_a_body_that_is_announced_too_large_starts_no_service(edge: Edge, client: httpx.Client):
    for length in ("1000001", "99999999999999999"):
        answer = edge.raw(f"{HEAD}Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n".encode(), QUIET_SECONDS)
        assert answer.startswith(b"HTTP/1.1 413 "), answer[:100]
    assert edge.reached.lines == []
    assert client.post("/orders", content=b"x" * 1_000_000).status_code == 200


def test_the_edge_accepts_only_http_1(edge: Edge):
    assert edge.raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", QUIET_SECONDS) == b""
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"
    answer = edge.raw(f"GET /healthz HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n".encode(), QUIET_SECONDS)
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_only_the_edge_sets_the_client_address(edge: Edge, client: httpx.Client):
    said = [
        ("X-Client-Ip", "203.0.113.9"), ("x-client-ip", "203.0.113.10"), ("X-Forwarded-For", "203.0.113.11"),
        ("Forwarded", "for=203.0.113.12"), ("X-Real-Ip", "203.0.113.13"), ("Connection", "close, X-Client-Ip"),
    ]  # fmt: skip
    client.get("/orders", headers=said)
    heard = [value for name, value in edge.reached.headers[-1] if name == "x-client-ip"]
    assert heard == ["127.0.0.1"]


def test_the_method_cannot_be_overridden(edge: Edge, client: httpx.Client):
    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        client.get("/stock/mug?_method=DELETE", headers={header: "DELETE"})
    assert edge.reached.lines == ["GET /stock/mug?_method=DELETE"] * 3


def test_the_edge_refuses_long_headers_and_addresses(edge: Edge, client: httpx.Client):
    for head in (
        f"GET /orders?{'x' * 40_000} HTTP/1.1\r\nHost: x\r\n",
        f"GET /orders HTTP/1.1\r\nHost: x\r\nX: {'y' * 40_000}\r\n",
    ):
        assert edge.raw(f"{head}Connection: close\r\n\r\n".encode()).startswith(b"HTTP/1.1 431 ")
    assert edge.reached.lines == []


BODY_SECONDS_MAX = 30.0
STALLED: dict[str, tuple[str, str]] = {
    "announced, nothing comes": (f"{HEAD}Content-Length: 1000\r\n\r\n", ""),
    "announced, it stops": (f"{HEAD}Content-Length: 1000\r\n\r\n{{", ""),
    "announced, it trickles": (f"{HEAD}Content-Length: 1000\r\n\r\n{{", " "),
    "announced, a large one trickles": (f"{HEAD}Content-Length: 900000\r\n\r\n{' ' * 500_000}", " "),
    "chunked, it stops": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n", ""),
    "chunked, it trickles": (f"{HEAD}Transfer-Encoding: chunked\r\n\r\n1\r\n{{\r\n", "1\r\n \r\n"),
    "a public route": ("POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", " "),
    "no token": ("POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", " "),
    "no route": ("POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{", " "),
}


def stalled(port: int, head: str, part: str) -> tuple[float, bytes]:
    """Seconds until the connection is closed, and what was answered, if a client sends `part` every second."""
    answer, started = b"", time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(head.encode())
        slow.settimeout(1)
        while time.monotonic() - started < 2 * BODY_SECONDS_MAX:
            try:
                if not (got := slow.recv(65_536)):
                    break
                answer += got
                slow.sendall(part.encode())
            except TimeoutError:
                slow.sendall(part.encode())
            except OSError:
                break
    return time.monotonic() - started, answer


def test_a_body_that_does_not_arrive_is_dropped_and_starts_no_service(edge: Edge, client: httpx.Client):
    with ThreadPoolExecutor(len(STALLED)) as pool:
        tries = {name: pool.submit(stalled, edge.port, *request) for name, request in STALLED.items()}
        time.sleep(QUIET_SECONDS)
        assert json.loads(client.get("/orders").content) == {}
    for name, tried in tries.items():
        seconds, answer = tried.result()
        assert BODY_SECONDS_MAX - 1 < seconds < 2 * BODY_SECONDS_MAX, name
        status = {"no token": b"401", "no route": b"404"}.get(name, b"408")
        assert answer.startswith(b"HTTP/1.1 " + status), (name, answer[:100])
    assert edge.reached.lines == ["GET /orders"]
