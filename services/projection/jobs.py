"""How the projection starts the process that builds views (build.py), which outlives the request that asks for it."""

from __future__ import annotations

import asyncio
import sys
import urllib.request
import uuid
from typing import Protocol

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable

__all__ = ["BuildJobs", "BuildSink", "ChildProcesses"]

START_SECONDS_MAX = 10.0
RETRY_AFTER_SECONDS = 5


class BuildJobs(Protocol):
    """Starts the process that builds the views whose builds are recorded."""

    async def start(self) -> None:
        """Start one; Unavailable if that cannot be done now."""
        ...


class BuildSink:
    """Sends a CloudEvent to a Knative JobSink, which creates a Job from its own template.

    So the projection needs no rights on the API of the cluster (docs/decisions/0020-long-builds.md). `token` identifies
    the projection where Eventing authenticates senders; it may be empty.
    """

    def __init__(self, url: str, token: Secret) -> None:
        self._url = url
        self._token = token

    async def start(self) -> None:
        """Send the event; Unavailable if the sink does not accept it."""
        try:
            await asyncio.to_thread(self._send)
        except OSError as error:
            detail = f"{self._url} does not start the build ({error}); the build is recorded: repeat the request"
            raise Unavailable("build-not-started", detail, RETRY_AFTER_SECONDS) from error

    def _send(self) -> None:
        # source and id become labels of the Job: letters, digits, - and _ only
        headers = {
            "ce-specversion": "1.0",
            "ce-type": "zerocart.projection.build.v1",
            "ce-source": "zerocart-projection",
            "ce-id": uuid.uuid4().hex,
            "Content-Type": "application/json",
        }
        if token := self._token():
            headers["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self._url, b"{}", headers, method="POST")  # noqa: S310 - from our settings
        with urllib.request.urlopen(request, timeout=START_SECONDS_MAX):  # noqa: S310
            return


class ChildProcesses:
    """Starts a child process; for where nothing puts this process to sleep, as in compose."""

    def __init__(self) -> None:
        self._waiting = set[asyncio.Task[int]]()

    async def start(self) -> None:
        """Start the child; Unavailable if the system has no room for it."""
        try:
            child = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.projection.build")
        except OSError as error:
            detail = f"no process can be started: {error}"
            raise Unavailable("build-not-started", detail, RETRY_AFTER_SECONDS) from error
        ended = asyncio.create_task(child.wait())  # so that it does not stay as a zombie
        self._waiting.add(ended)
        ended.add_done_callback(self._waiting.discard)
