"""Sends what is due. A nudge (a delivered event, a timer) starts a session, in which each endpoint has its own worker.

A nudge is answered when the session is over. If a slow endpoint makes it last, a timer is requested first: should this
process die, the timer wakes the next one, which finds the attempts that were not recorded.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from services.contracts.webhooks import DeliveriesDue
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.eventstore.port import EventReader, Position
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.kit.wire.cloudevents import Incoming
from services.published import shown
from services.shared_timer import SharedTimer
from services.webhooks.deliveries import Claimed, Deliveries
from services.webhooks.domain import Disable, Endpoint
from services.webhooks.endpoints import Endpoints
from services.webhooks.follower import Follower
from services.webhooks.sender import Result, Sender, signed
from services.webhooks.signing import EndpointSecrets

__all__ = ["SWITCH_OFF_AFTER", "WAKE", "Dispatcher"]

NUDGE_SECONDS_MAX = 3.0
SAFETY = timedelta(minutes=2)
SWITCH_OFF_AFTER = timedelta(days=5)
"""An endpoint that failed at every attempt for so long is switched off."""
GONE = 410
WAKE = SharedTimer(timedelta(minutes=1), DeliveriesDue, "wake", "webhooks", "%Y%m%dT%H%M")
"""Wakes webhooks for attempts that are due later."""

Clock = Callable[[], datetime]


def _now() -> datetime:
    return datetime.now(UTC)


class Dispatcher:
    """Makes deliveries of new events and carries out the attempts that are due."""

    def __init__(
        self,
        handler: CommandHandler,
        reader: EventReader,
        endpoints: Endpoints,
        sender: Sender,
        secrets: EndpointSecrets,
        now: Clock = _now,
    ) -> None:
        self._handler = handler
        self._reader = reader
        self._endpoints = endpoints
        self._sender = sender
        self._secrets = secrets
        self.now = now
        self.follower = Follower(handler.store, reader, endpoints.switch_off)
        self.deliveries = Deliveries(handler.store)
        self._session: asyncio.Task[None] | None = None
        self._new = asyncio.Event()
        self._is_promised = False
        self._stopping = False

    async def nudge(self, *, by_timer: bool = False) -> None:
        """Return when everything that is due was attempted, or when a timer will see to it."""
        if not await self.follower.follow(self.now()):
            return
        self._is_promised = self._is_promised and not by_timer
        session = self._started()
        if self._is_promised:
            return
        done, _ = await asyncio.wait({session}, timeout=NUDGE_SECONDS_MAX)
        if done:
            session.result()
        else:
            await self.promise()

    async def nudge_by(self, event: Incoming) -> None:
        """Attempt what is due after an event, or after the timer."""
        await self.nudge(by_timer=event.type == DeliveriesDue.type)

    async def promise(self) -> None:
        """Request the timer that wakes the next process, should this one die."""
        if not self._is_promised:
            self._is_promised = True
            await self._wake(self.now() + SAFETY)

    async def start(self) -> None:
        """Send what an earlier process left."""
        self._started()

    async def close(self) -> None:
        """Finish the attempts that are under way."""
        self._stopping = True
        self._new.set()
        if self._session is not None:
            await asyncio.gather(self._session, return_exceptions=True)
        await self._sender.close()

    def _started(self) -> asyncio.Task[None]:
        self._new.set()
        if self._session is None or self._session.done():
            self._is_promised = False
            self._session = asyncio.create_task(self._run())
            self._session.add_done_callback(_log_failure)
        return self._session

    async def _run(self) -> None:
        workers: dict[str, asyncio.Task[None]] = {}
        try:
            await self._send_due(workers)
        finally:
            await asyncio.gather(*workers.values(), return_exceptions=True)
        if due_at := await self.deliveries.next_at():
            await self._wake(max(due_at, self.now()))

    async def _wake(self, at: datetime) -> None:
        await WAKE.request(self._handler, at, Cause(self.now()))

    async def _send_due(self, workers: dict[str, asyncio.Task[None]]) -> None:
        while not self._stopping:
            self._new.clear()
            for endpoint_id in await self.deliveries.due(self.now()) - workers.keys():
                workers[endpoint_id] = asyncio.create_task(self._work(endpoint_id))
            if not workers:
                break
            await self._first_of(workers)
            for endpoint_id in [each for each, worker in workers.items() if worker.done()]:
                workers.pop(endpoint_id).result()

    async def _first_of(self, workers: dict[str, asyncio.Task[None]]) -> None:
        """Return when a worker has ended or new deliveries may have come."""
        new = asyncio.create_task(self._new.wait())
        await asyncio.wait({new, *workers.values()}, return_when=asyncio.FIRST_COMPLETED)
        new.cancel()

    async def _work(self, endpoint_id: str) -> None:
        while not self._stopping and (claimed := await self.deliveries.claim(endpoint_id, self.now())):
            state = await self._endpoints.state(endpoint_id)
            if not isinstance(state, Endpoint):
                return
            await asyncio.gather(*(self._attempt(each, state) for each in claimed))

    async def _attempt(self, claimed: Claimed, endpoint: Endpoint) -> None:
        at = self.now()
        url = endpoint.fields.url
        try:
            body = await self._body(claimed)
            headers = signed(claimed.id, at, body, self._secrets.valid(claimed.endpoint_id, endpoint, at))
        except Unavailable:
            raise
        except ZerocartError as error:
            headers, result = dict[str, str](), Result(None, f"{error.code}: {error.detail}", "", 0)
        else:
            result = await self._sender.send(url, headers, body)
        METRICS.count("webhook_attempts", outcome="delivered" if result.is_success else "failed")
        logged = {"url": url, "headers": {name: headers[name] for name in headers if name != "webhook-signature"}}
        failing_since = await self.deliveries.record(claimed, result, logged, at, self.now())
        if result.status == GONE:
            await self._switch_off(claimed.endpoint_id, Disable(
                at=self.now(), endpoint_id=claimed.endpoint_id, code="gone", reason="the endpoint answered 410",
            ))  # fmt: skip
        elif failing_since and self.now() - failing_since > SWITCH_OFF_AFTER:
            reason = f"every attempt failed since {failing_since:%Y-%m-%d %H:%M} UTC, the last: {result.error}"
            await self._switch_off(claimed.endpoint_id, Disable(
                at=self.now(), endpoint_id=claimed.endpoint_id, code="failing", reason=reason[:500],
            ))  # fmt: skip

    async def _body(self, claimed: Claimed) -> str:
        """Return the body for the endpoint, from the event store; ZerocartError if the event is no longer there."""
        before = Position(claimed.position - 1)
        page = await self._reader.read_types(before, claimed.position, [claimed.type], 1)
        if not page.events:
            raise ZerocartError("event-lost", "the event store was restored and does not have this event any more")
        event = shown(page.events[0])
        return json.dumps({**event, "timestamp": event["time"]}, ensure_ascii=False, separators=(",", ":"))

    async def _switch_off(self, endpoint_id: str, command: Disable) -> None:
        log("webhook endpoint switched off", level=logging.ERROR, endpoint=endpoint_id, code=command.code)
        await self._endpoints.carry_out(endpoint_id, command, Cause(command.at))


def _log_failure(session: asyncio.Task[None]) -> None:
    """A nudge that waits for the session is delivered again; without one a timer or the next nudge begins another."""
    if not session.cancelled() and (error := session.exception()):
        log("sending webhooks failed: the next event or timer starts it again", level=logging.WARNING, error=error)
