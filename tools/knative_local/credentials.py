"""Tokens for programs of the operator: the client credentials grant (RFC 6749, 4.4) at the public edge."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tools.knative_local.secrets import OPERATOR
from tools.knative_local.state import State

__all__ = ["Credentials", "NoTokenError", "from_environment", "operator_of"]

RENEWED_SECONDS_BEFORE = 60.0
REQUEST_SECONDS_MAX = 60.0


class NoTokenError(Exception):
    """The edge gave no token; says why."""


@dataclass(slots=True)
class Credentials:
    """A client of the token endpoint; a token is reused until shortly before it expires."""

    edge_url: str
    client_id: str
    secret: str = field(repr=False)
    now: Callable[[], float] = time.monotonic
    _token: str = field(default="", repr=False)
    _expires: float = 0.0

    def token(self) -> str:
        """An access token; NoTokenError if the edge gives none."""
        if self._expires - self.now() < RENEWED_SECONDS_BEFORE:
            answer = self._ask()
            self._token, self._expires = str(answer["access_token"]), self.now() + float(str(answer["expires_in"]))
        return self._token

    def _ask(self) -> dict[str, object]:
        form = {"grant_type": "client_credentials", "client_id": self.client_id, "client_secret": self.secret}
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(f"{self.edge_url}/v1/token", data)  # noqa: S310 - the operator's own edge
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_SECONDS_MAX) as answer:  # noqa: S310
                return json.load(answer)
        except (urllib.error.URLError, ValueError, OSError) as error:
            raise NoTokenError(f"{self.edge_url} gives no token: {error}") from error


def from_environment(edge_url: str, environ: Mapping[str, str] = os.environ) -> Credentials:
    """The client of ZEROCART_OPERATOR_ID (default: the operator) and ZEROCART_OPERATOR_SECRET."""
    return Credentials(edge_url, environ.get("ZEROCART_OPERATOR_ID", OPERATOR), environ["ZEROCART_OPERATOR_SECRET"])


def operator_of(state: State, edge_url: str) -> Credentials:
    """The operator of a local cluster."""
    return Credentials(edge_url, OPERATOR, state.secrets({})["operator-secret"])
