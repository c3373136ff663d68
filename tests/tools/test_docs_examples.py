"""The programs that the guides show do what the guides say."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from tests.architecture.rules import ROOT
from tests.node_tools import run


def example(name: str) -> str:
    """The example of the guide for programs whose first line names this file."""
    found = re.search(rf"^// {re.escape(name)}:.*?(?=^```)", (ROOT / "docs/programs.md").read_text(), re.S | re.M)
    assert found, f"docs/programs.md shows no {name}"
    return found[0]


def frame(position: int) -> str:
    event = {"position": str(position), "type": "zerocart.orders.order.created.v1", "subject": "ord_1"}
    return f"id: {position}\ndata: {json.dumps(event)}\n\n"


class Edge(ThreadingHTTPServer):
    """Answers each connection to the stream with the next of `answers`: a status and what follows before it breaks."""

    daemon_threads = True

    def __init__(self, answers: Sequence[tuple[int, str]]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = iter(answers)
        self.continued: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    """Chunks without a last one, so that every stream ends as a broken connection does."""

    protocol_version = "HTTP/1.1"
    server: Edge  # pyright: ignore[reportIncompatibleVariableOverride]  # the type of the server that makes it

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.respond(200, json.dumps({"access_token": "a-token"}))

    def do_GET(self) -> None:
        self.server.continued.append(self.headers["Last-Event-ID"])
        self.respond(*next(self.server.answers))

    def respond(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Retry-After", "0")
        stream = status == 200 and self.command == "GET"
        self.send_header(*(("Transfer-Encoding", "chunked") if stream else ("Content-Length", str(len(text)))))
        self.end_headers()
        self.wfile.write(f"{len(text):x}\r\n{text}\r\n".encode() if stream else text.encode())
        self.close_connection = stream

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test has no log."""


@contextmanager
def serving(edge: Edge) -> Generator[str]:
    with edge:
        Thread(target=edge.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{edge.server_port}"
        edge.shutdown()


def test_program_that_follows_the_stream_continues_after_broken_connections(tmp_path: Path):
    program = tmp_path / "follow.mjs"
    program.write_text(example("follow.mjs"))
    edge = Edge(
        (
            (200, frame(1) + frame(2)[:-9]),
            (503, "{}"),
            (200, frame(2) + frame(3) + "id: 4\n\n"),
            (403, '{"code": "insufficient-scope"}'),
        )
    )
    with serving(edge) as url:
        environ = {**os.environ, "ZEROCART": url, "CLIENT_ID": "cli_1", "CLIENT_SECRET": "s"}
        ended = run(program, env=environ, cwd=tmp_path)
    assert [line.split()[0] for line in ended.stdout.splitlines()] == ["1", "2", "3"]
    assert edge.continued == [None, "1", "1", "4"]
    assert "insufficient-scope" in ended.stderr
    assert ended.returncode == 1
    assert "connected: events after 1" in ended.stderr


def test_program_that_was_stopped_before_the_first_event_continues_at_the_first_position(tmp_path: Path):
    program = tmp_path / "follow.mjs"
    program.write_text(example("follow.mjs"))
    edge = Edge(((200, "id: 7\n\n"), (403, "{}"), (403, "{}")))
    with serving(edge) as url:
        environ = {**os.environ, "ZEROCART": url, "CLIENT_ID": "cli_1", "CLIENT_SECRET": "s"}
        stopped, _ = (run(program, env=environ, cwd=tmp_path) for _ in range(2))
    assert "connected: events after 7" in stopped.stderr
    assert edge.continued == [None, "7", "7"]
