"""The cluster's own small API on loopback: its status, and PingSources in the shape of the Kubernetes API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

from tools.knative_local.clock import BadScheduleError, PingClock

__all__ = ["ERASURES", "ControlServer", "Controlled"]

REQUEST_SECONDS_MAX = 5.0
BODY_BYTES_MAX = 65_536
ERASURES = "/erasures"
"""Gets the events of erased persons, for the mail sink."""
PINGSOURCES = "/apis/sources.knative.dev/v1/namespaces/"


BUILD_VIEWS = "/build-views"
"""The end of the path of the JobSink that builds views (charts/zerocart/templates/builds.yaml)."""


class Controlled(Protocol):
    """The cluster behind the API; `clock` is None while it starts."""

    @property
    def clock(self) -> PingClock | None:
        """The PingSources."""
        ...

    def status(self) -> Mapping[str, object]:
        """The status of the cluster."""
        ...


class ControlServer:
    """Serves the API of one cluster; `forget` is called with an erased person, `build_views` by the JobSink."""

    def __init__(
        self,
        cluster: Controlled,
        forget: Callable[[str], object] | None = None,
        build_views: Callable[[], object] | None = None,
    ) -> None:
        self._cluster = cluster
        self._forget = forget
        self._build_views = build_views

    async def start(self, port: int, host: str = "127.0.0.1") -> int:
        """Listen on loopback or on `host`; the port."""
        server = await asyncio.start_server(self._serve, host, port)
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                status, answer = await self._answer(reader)
                body = b"" if answer is None else json.dumps(answer).encode()
                head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
                writer.write(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, ValueError):
            pass  # the client has disconnected, or sent no valid HTTP
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader) -> tuple[int, object]:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.split("\r\n")
        method, target, _ = request.split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if length > BODY_BYTES_MAX:
            return 413, {"message": "too large"}
        body = await reader.readexactly(length)
        path = urlsplit(target).path
        if (method, path) == ("GET", "/status"):
            return 200, self._cluster.status()
        if (method, path) == ("POST", ERASURES) and self._forget:
            self._forget(_person(body))
            return 204, None  # a body would be a reply event
        if method == "POST" and path.endswith(BUILD_VIEWS) and self._build_views:
            self._build_views()
            return 202, None
        if path.startswith(PINGSOURCES):
            return self._ping_source(method, path.rpartition("/")[2], body)
        return 404, {"message": "not found"}

    def _ping_source(self, method: str, name: str, body: bytes) -> tuple[int, object]:
        clock = self._cluster.clock
        if clock is None:
            return 503, {"message": "starting"}
        try:
            if method == "PATCH":
                clock.aim(name, str(json.loads(body)["spec"]["schedule"]))
            return 200, {"metadata": {"name": name}, "spec": {"schedule": clock.schedule(name)}}
        except KeyError:
            return 404, {"message": f"no PingSource {name}"}
        except (BadScheduleError, TypeError) as error:
            return 422, {"message": str(error)}


def _person(event: bytes) -> str:
    """The id of the erased person; ValueError if the event has none."""
    data: object = json.loads(event)
    match data:
        case {"user_id": str(person)} | {"person_id": str(person)}:
            return person
        case _:
            raise ValueError("the event names no person")
