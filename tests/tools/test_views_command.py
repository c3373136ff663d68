"""`zerocart rebuild` and `zerocart views`: when a rebuild ends, what is printed, and what happens if the projection dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tools.knative_local.rest_client import AwayError, RefusedError, RestClient
from tools.zerocart import rebuild, views

SAME = {"only_old": 0, "only_new": 0, "different": 0, "examples": None}
OTHER = {"only_old": 0, "only_new": 1, "different": 1, "examples": ["ord_1", "ord_2"]}


def version(number: int = 2, **changes: Any) -> dict[str, Any]:
    known = {
        "view": "orders", "version": number, "revision": 1, "state": "building", "events_behind": 0,
        "compared": None, "stopped_at": None, "stopped_by": None, "stopped_since": None,
    }  # fmt: skip
    return {**known, **changes}


class Answers(BaseHTTPRequestHandler):
    """A projection that gives the answers of a script; None closes the connection."""

    script: list[tuple[int, Any] | None]

    def answer(self) -> None:
        scripted = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if scripted is None:
            self.close_connection = True
            return
        status, content = scripted
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = answer

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def projection() -> Iterator[RestClient]:
    Answers.script = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield RestClient(f"http://127.0.0.1:{server.server_port}", "token")
        server.shutdown()


def shown(*versions: dict[str, Any]) -> tuple[int, Any]:
    return 200, {"versions": list(versions), "skipped": []}


def follow(projection: RestClient, then: str = "switch_if_equal", *, quiet: bool = False) -> int:
    return rebuild._follow(projection, "orders", then, quiet=quiet)


def test_a_rebuild_is_followed_to_its_end(projection: RestClient, capsys: pytest.CaptureFixture[str]) -> None:
    compared = {"orders": SAME, "order_lines": SAME}
    Answers.script = [
        shown(version(1, state="serving"), version(events_behind=70)),
        shown(version(1, state="serving"), version(events_behind=30)),
        shown(version(1, state="serving"), version(compared=compared)),
        shown(version(1, state="kept"), version(state="serving", compared=compared)),
    ]
    assert follow(projection) == 0
    out = capsys.readouterr().out
    assert "70 of 70" in out
    assert out.endswith("orders: the new version serves\n")
    assert out.count("the same, row by row") == 2


def test_a_rebuild_is_followed_although_the_projection_dies(projection: RestClient) -> None:
    Answers.script = [
        None,
        (503, {"detail": "try again shortly"}),
        shown(version(events_behind=70)),
        None,
        shown(version(state="serving", compared={})),
    ]
    assert follow(projection, quiet=True) == 0


def test_different_rows_are_shown_and_the_command_fails(projection: RestClient, capsys) -> None:
    Answers.script = [shown(version()), shown(version(compared={"orders": OTHER}))]
    assert follow(projection) == 1
    out = capsys.readouterr().out
    assert "1 differ, 0 only before, 1 only now, such as ord_1, ord_2" in out
    assert "has read every event and waits for your decision: `zerocart views orders --switch 2` lets it serve" in out


def test_a_stopped_version_is_printed_with_the_next_step(projection: RestClient, capsys) -> None:
    Answers.script = [shown(version(stopped_at="0001.2.3", stopped_by="x: not readable"))]
    assert follow(projection) == 1
    out = capsys.readouterr().out
    assert "stopped at 0001.2.3: x: not readable" in out
    assert "zerocart views orders --skip 0001.2.3 --reason WHY" in out


def test_a_refusal_is_a_text_or_with_json_the_problem(projection: RestClient) -> None:
    problem = {"detail": "bad", "code": "invalid", "errors": [{"field": "reason", "detail": "too short"}]}
    Answers.script = [(422, problem)]
    with pytest.raises(RefusedError) as refused:
        projection.call("/orders/skip", {})
    assert (str(refused.value), refused.value.problem) == ("bad; reason: too short", problem)
    Answers.script = [None]
    with pytest.raises(AwayError):
        projection.call("")


def test_a_skip_without_a_reason_is_not_sent(projection: RestClient) -> None:
    options = views.argparse.ArgumentParser()
    views.add_arguments(options)
    with pytest.raises(RefusedError, match="--reason WHY"):
        views._answer(projection, options.parse_args(["orders", "--skip", "0001.2.3"]))
