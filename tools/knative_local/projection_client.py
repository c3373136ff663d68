"""Asking the projection about its views, as the operator."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from tools.knative_local.credentials import operator_of
from tools.knative_local.state import State

__all__ = ["AwayError", "Projection", "RefusedError"]

REQUEST_SECONDS_MAX = 60.0
AWAY_SECONDS_MAX = 60.0
AGAIN_SECONDS = 0.5


class RefusedError(Exception):
    """The projection said no: for people, and as it said it (a problem of RFC 9457)."""

    def __init__(self, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.problem = problem or {"detail": detail}


class AwayError(RefusedError):
    """It could not be asked: its process died, or its database is away."""


class Projection:
    """The projection of the cluster that runs here; None of it is reachable through the edge."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    @classmethod
    def running(cls) -> Projection | None:
        """That of the cluster that runs; None if none does."""
        from tools.zerocart.status import cluster_status

        state = State.from_environment()
        running = state.running()
        if running is None:
            return None
        url: str = cluster_status(running)["services"]["projection"]["url"]
        return cls(url, operator_of(state, running.edge_url).token())

    def call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """The answer; RefusedError with the reason if it is none that was hoped for."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._url}/projection/views{path}", data, headers, method=method)  # noqa: S310 - loopback, ours
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"the projection cannot be asked: {error}") from error

    def call_patiently(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The answer, asked for again while the projection is away: what it was doing goes on in its next process."""
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while True:
            try:
                return self.call(path, body)
            except AwayError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_SECONDS)


def _refusal(error: urllib.error.HTTPError) -> RefusedError:
    text = error.read().decode(errors="replace")
    try:
        problem = json.loads(text)
        fields = [f"{each['field']}: {each['detail']}" for each in problem.get("errors", ())]
        detail = "; ".join([problem["detail"], *fields])
    except (ValueError, KeyError, TypeError, AttributeError):
        problem, detail = None, text.strip() or f"{error.code} {error.reason}"
    kind = AwayError if error.code in (502, 503, 504) else RefusedError
    return kind(detail, problem)
