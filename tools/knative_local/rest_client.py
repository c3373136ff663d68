"""REST calls of the operator, and the status of the cluster."""

from __future__ import annotations

import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any

from tools.knative_local.state import Running

__all__ = ["AwayError", "RefusedError", "RestClient", "cluster_status"]

REQUEST_SECONDS_MAX = 60.0
STATUS_SECONDS_MAX = 5.0
AWAY_SECONDS_MAX = 60.0
RETRY_SECONDS = 0.5


class RefusedError(Exception):
    """A request was refused; `problem` is the answer (RFC 9457)."""

    def __init__(self, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.problem = problem or {"detail": detail}


class AwayError(RefusedError):
    """There was no answer: a process died, or its database cannot be reached."""


class RestClient:
    """Calls below one base URL with one access token."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    def call(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """The answer (a body means POST, unless `method` says otherwise); RefusedError with the reason if refused."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        request = urllib.request.Request(f"{self._url}{path}", data, headers, method=method)  # noqa: S310 - loopback, ours
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as answer:  # noqa: S310
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise _refusal(error) from error
        except (OSError, http.client.HTTPException) as error:
            raise AwayError(f"{self._url} does not answer: {error}") from error

    def call_patiently(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The same, repeated while there is no answer: the next process continues the work of the last one."""
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while True:
            try:
                return self.call(path, body)
            except AwayError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS)


def cluster_status(running: Running) -> dict[str, Any]:
    """What the cluster itself knows, without a query to a database; AwayError if it does not answer."""
    try:
        with urllib.request.urlopen(f"{running.control_url}/status", timeout=STATUS_SECONDS_MAX) as answer:  # noqa: S310 - loopback, ours
            return json.load(answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AwayError(f"The cluster (process {running.pid}) does not answer: {error}") from error


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
