"""A service as an ASGI application: event endpoint, health, metrics, and the REST part, which the first request loads.

FastAPI is most of a cold start. A service that is woken by an event does not need it, so it does not pay for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TYPE_CHECKING, TypeAlias

from services.kit.auth.tokens import Revocations, bearer, delivery_verifier
from services.kit.config.settings import Settings
from services.kit.domain.errors import Unauthenticated, Unavailable, ZerocartError
from services.kit.events.endpoint import EventEndpoint
from services.kit.events.handlers import Reactions
from services.kit.events.missed import MissedEvents
from services.kit.events.outcome import Outcome, not_now, refused
from services.kit.eventstore.metrics_store import MetricsStore, age_seconds
from services.kit.eventstore.outbox import Relay
from services.kit.service.host import Host
from services.kit.service.waking import wake
from services.kit.telemetry import tracing
from services.kit.telemetry.activity import ACTIVITY, request_name
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import MEDIA_TYPE, METRICS
from services.kit.wire.asgi import (
    HEALTH_PATHS,
    App,
    Receive,
    Scope,
    Send,
    TooLong,
    TooManyHeaders,
    send_body,
    send_empty,
    unversioned,
)

if TYPE_CHECKING:
    from fastapi import APIRouter, FastAPI

__all__ = [
    "EVENT_HEADERS_BYTES_MAX",
    "HEADERS_BYTES_MAX",
    "REQUESTS_IN_FLIGHT_MAX",
    "SHUTDOWN_SECONDS",
    "URL_BYTES_MAX",
    "WARM_AGAIN_SECONDS",
    "Hook",
    "Routers",
    "Service",
]

REQUESTS_IN_FLIGHT_MAX = 400
URL_BYTES_MAX = 8_192
HEADERS_BYTES_MAX = 32_768
EVENT_HEADERS_BYTES_MAX = 2_097_152
"""More than a record of Kafka can hold, so that an event with large attributes still arrives as a dead letter."""
WARM_AGAIN_SECONDS = 20.0
SHUTDOWN_SECONDS = 10.0
EVENTS = "/events"
"""The event endpoint, to which the edge does not route. It routes `GET`, by which operations shows all events."""
READ_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
COMMAND_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})

Hook = Callable[[], Awaitable[None]]
Routers: TypeAlias = "Sequence[APIRouter]"
"""In quotes, because a service that is woken by an event does not import FastAPI."""


class Service:
    """One service of zerocart, on a host, or with settings alone if it has no history.

    `routers` is called on the first REST request and imports what it needs; its routes are given what `provides` holds,
    and the host's command handler, by class. `warms` names the services that an accepted command will reach, except
    commands at the paths in `alone`. `revocations` knows the revoked tokens for a service without a host. `endpoint`
    replaces the event endpoint, and `missed` the check for missed events, for a service that does not handle events one
    by one. `on_leave` ends answers that have no end of their own, before the process waits for its requests to end.
    """

    def __init__(
        self,
        host: Host | Settings,
        *,
        reactions: Reactions | None = None,
        routers: Callable[[], Routers] | None = None,
        provides: Sequence[object] | Callable[[], Sequence[object]] = (),
        admin_scope: str = "",
        warms: Sequence[str] = (),
        alone: Collection[str] = (),
        endpoint: App | None = None,
        missed: MissedEvents | None = None,
        on_start: Sequence[Hook] = (),
        on_stop: Sequence[Hook] = (),
        on_leave: Sequence[Callable[[], None]] = (),
        metrics_store: MetricsStore | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self._settings = host.settings if isinstance(host, Host) else host
        self._host = host if isinstance(host, Host) else None
        self._endpoint = endpoint
        self.missed = missed
        if reactions and self._host:
            self._endpoint = endpoint = EventEndpoint(reactions, self._host.failures, self._host.handler.vault)
            if self._host.receipts and reactions.types:
                limits = self._settings.delivery_seconds, self._settings.missed_check_seconds
                self.missed = MissedEvents(self._host.receipts, endpoint, reactions.types, *limits)
        self._delivery_verifier = delivery_verifier(self._settings)
        self._revocations = self._host.handler.vault if self._host else revocations
        self._routers = routers
        self._admin_scope = admin_scope
        self._provides = provides
        self._rest: FastAPI | None = None
        self._warms = [url for name in warms if (url := self._settings.service_urls.get(name))]
        self._alone = alone
        self._warmed_at = -WARM_AGAIN_SECONDS
        self._on_start = on_start
        self._on_stop = on_stop
        self._on_leave = on_leave
        self._metrics_store = metrics_store or (self._host.metrics_store if self._host else None)
        self._background: set[asyncio.Future[object]] = set()
        self._in_flight = 0
        self._removing: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """End the answers that would not end by themselves (event streams); the server calls this when it stops."""
        for end in self._on_leave:
            end()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path.startswith("/healthz/"):
            await send_empty(send, 200 if path in HEALTH_PATHS else 404)
        elif path == "/metrics":
            await send_body(send, 200, METRICS.render(), MEDIA_TYPE)
        else:
            self._in_flight += 1
            ACTIVITY.note(_named(path, scope))
            try:
                await self._dispatch(path, scope, receive, send)
            finally:
                self._in_flight -= 1
                if self._metrics_store is not None:
                    self._metrics_store.touch()

    async def _dispatch(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if path == EVENTS and scope["method"] not in READ_METHODS:
            await self._hear(scope, receive, send)
            return
        scope = unversioned(scope)
        if self._warms and scope["method"] in COMMAND_METHODS and scope["path"] not in self._alone:
            send = self._warming(send)
        started = time.perf_counter()
        if scope["method"] == "HEAD":  # it is answered like GET, and the server keeps the body (RFC 9110, 9.3.2)
            scope = {**scope, "method": "GET"}
        await self.rest()(scope, receive, send)
        if scope["path"] != EVENTS:  # a stream of events lasts as long as its client wants
            METRICS.observe_seconds("request_duration", time.perf_counter() - started, method=scope["method"])

    def _refusal(self, scope: Scope, headers_bytes_max: int = HEADERS_BYTES_MAX) -> ZerocartError | None:
        """The error of a request that is refused before it is routed; None if it is not."""
        if len(scope["raw_path"]) + len(scope["query_string"]) > URL_BYTES_MAX:
            return TooLong("address-too-long", f"A URL may have at most {URL_BYTES_MAX} bytes.")
        if sum(len(name) + len(value) for name, value in scope["headers"]) > headers_bytes_max:
            return TooManyHeaders("headers-too-long", f"All headers may have {headers_bytes_max} bytes together.")
        if self._in_flight > REQUESTS_IN_FLIGHT_MAX:
            return Unavailable(
                "overloaded", "Too many requests are in progress. Send the request again in a second.", 1
            )
        return None

    async def _hear(self, scope: Scope, receive: Receive, send: Send) -> None:
        if refusal := self._refusal(scope, EVENT_HEADERS_BYTES_MAX):
            METRICS.count("errors", type=refusal.code)
            outcome = not_now(refusal.code) if isinstance(refusal, Unavailable) else refused(refusal)
            await outcome.send(send)
            return
        if self._endpoint is None or scope["method"] != "POST":
            # Knative does not retry a 405; an event for a service that handles none comes from a wrong Trigger
            await Outcome(
                405, "method-not-allowed: this service receives no events, or receives them by POST only"
            ).send(send)
            return
        try:
            if self._delivery_verifier is not None:
                await self._delivery_verifier.verify(bearer(scope))
        except Unauthenticated as error:
            log("event refused", level=logging.WARNING, code=error.code, detail=error.detail)
            await refused(error, 401).send(send)
        except Unavailable as error:
            log("event not accepted: delivery repeats it", level=logging.WARNING, code=error.code)
            await not_now(error.code).send(send)
        else:
            await self._endpoint(scope, receive, send)

    def rest(self) -> FastAPI:
        """The REST part; the first call makes it."""
        if self._rest is None:
            from services.kit.rest.app import rest_app

            routers = self._routers() if self._routers else ()
            self._rest = rest_app(
                self._settings, routers, self._provided(), self._admin_scope, self._refusal, self._revocations
            )
        return self._rest

    def _provided(self) -> Sequence[object]:
        provided = self._provides() if callable(self._provides) else self._provides
        return (*provided, self._host.handler) if self._host else provided

    def _warming(self, send: Send) -> Send:
        """`send`, which wakes the others if the command is accepted: a refused one must not start any of them."""

        async def watched(message: Scope) -> None:
            if message["type"] == "http.response.start" and message["status"] < 300:
                self._warm_others()
            await send(message)

        return watched

    def _warm_others(self) -> None:
        now = time.monotonic()
        if now - self._warmed_at > WARM_AGAIN_SECONDS:
            self._warmed_at = now
            for url in self._warms:
                self._in_background(wake(url))

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        for hook in self._on_start:
            await hook()
        if self._host is not None:
            self._in_background(_publish_what_is_left(self._host.relay))
        if self.missed is not None:
            self._in_background(self.missed.keep_checking())
        if self._host is not None and self._host.retention is not None:
            self._removing = asyncio.create_task(self._host.retention.keep_removing(self._has_missed_nothing))
        METRICS.observe_seconds("cold_start", age_seconds())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._close()
        await send({"type": "lifespan.shutdown.complete"})

    def _has_missed_nothing(self) -> bool:
        """While an event is missed, the marks of the events after it are needed, however old they are."""
        return self.missed is None or self.missed.is_level

    async def _close(self) -> None:
        if self._removing is not None:
            self._removing.cancel()  # the statement that it interrupts is rolled back
        if self.missed is not None:
            self.missed.stop()
        if self._background:  # before the hooks, which close what this work needs
            await asyncio.wait(self._background, timeout=SHUTDOWN_SECONDS)
        for hook in self._on_stop:
            await hook()
        if self._host is not None:
            await self._host.close()
        elif self._metrics_store is not None:
            await self._metrics_store.close()
        await tracing.close()

    def _in_background(self, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _named(path: str, scope: Scope) -> str:
    """The type of an event, or a request without what its path names."""
    if path == EVENTS and scope["method"] not in READ_METHODS:
        return dict(scope["headers"]).get(b"ce-type", b"event").decode("ascii", "replace")
    return request_name(scope["method"], unversioned(scope)["path"])


async def _publish_what_is_left(relay: Relay) -> None:
    """Publish the outbox rows that a crashed process committed and did not publish."""
    try:
        if rows := await relay.drain():
            log("published outbox rows of an earlier process", rows=rows)
    except Unavailable:
        relay.retry_later()
