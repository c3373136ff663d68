"""Asking the projection about its views, as the operator."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from services.local.credentials import operator_of
from services.local.state import State

__all__ = ["Projection", "RefusedError"]

REQUEST_SECONDS_MAX = 60.0


class RefusedError(Exception):
    """The projection said no, and why."""


class Projection:
    """The projection of the cluster that runs here; None of it is reachable through the edge."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token

    @classmethod
    def running(cls) -> Projection | None:
        """That of the cluster that runs; None if none does."""
        from services.local.commands.status import cluster_status

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
            raise RefusedError(error.read().decode(errors="replace")) from error
