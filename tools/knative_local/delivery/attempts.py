"""One event to one address: attempts, what an answer counts as, waits, and what goes to the dead letters."""

from __future__ import annotations

import asyncio
import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from tools.knative_local.delivery.client import Client, NoAnswerError, Response
from tools.knative_local.delivery.events import Event, NotAnEventError, UnsendableError, header_text, message_event
from tools.knative_local.delivery.identity import Lines, anonymous
from tools.knative_local.manifests import Delivery

__all__ = ["AbandonedError", "Failure", "Schedule", "Target", "dead_letter", "judged"]

RETRIED = frozenset((404, 408, 409, 429))
REDIRECTS_MAX = 16
ERROR_DATA_BYTES_MAX = 1_024
_CODE, _DATA, _DEST = "knativeerrorcode", "knativeerrordata", "knativeerrordest"
_ATTRIBUTES = ("specversion", "id", "source", "type", "subject", "time", "dataschema")
_EXTENSION = re.compile(r"[a-z0-9]*")


class AbandonedError(Exception):
    """The dispatcher stops: the event is left as it is, for the next one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event was not taken; `response` only if the last attempt was answered with something else than 2xx."""

    reason: str
    retryable: bool
    response: Response | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Attempts and the waits between them; `scale` shortens the waits and timeouts of tests."""

    retry: int
    exponential: bool
    backoff_seconds: float
    timeout_seconds: float
    scale: float = 1.0

    @classmethod
    def of(cls, delivery: Delivery, scale: float = 1.0) -> Schedule:
        """The schedule of a delivery."""
        return cls(delivery.retry, delivery.exponential, delivery.backoff_seconds, delivery.timeout_seconds, scale)

    def wait_seconds(self, attempt: int) -> float:
        """The wait after this attempt, counted from 1: exponential is twice the delay at first."""
        factor = 2.0**attempt if self.exponential else float(attempt)
        return self.backoff_seconds * factor * self.scale


class Target:
    """An address that events are sent to."""

    def __init__(
        self,
        url: str,
        namespace: str,
        schedule: Schedule,
        stopping: asyncio.Event,
        *,
        reads_replies: bool,
        identify: Lines = anonymous,
    ):
        self.url = url
        self._client = Client(url)
        self._schedule = schedule
        self._stopping = stopping
        self._reads_replies = reads_replies
        self._fixed = _fixed_lines(url, namespace)
        self._path = _path(url)
        self._identify = identify

    async def deliver(self, event: Event, on_retry: Callable[[], None]) -> Event | Failure | None:
        """Send until it is taken or given up: the reply if there is one, the failure, None if just taken."""
        attempt = 1
        while True:
            outcome = await self._attempt(event)
            if not (isinstance(outcome, Failure) and outcome.retryable) or attempt > self._schedule.retry:
                return outcome
            if self._schedule.backoff_seconds == 0:  # the real one cannot wait for nothing, and forgets the answer
                return Failure("a backoffDelay of zero allows no retry", retryable=False)
            await self._pause(self._schedule.wait_seconds(attempt))
            attempt += 1
            on_retry()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _attempt(self, event: Event) -> Event | Failure | None:
        try:
            response = await self._exchange(b"POST", self._path, event)
            for _ in range(REDIRECTS_MAX):
                location = header_text(response.headers).get("location") if response.status == 303 else None
                if location is None:
                    break
                response = await self._exchange(b"GET", _path(urljoin(self.url, location)), event)
        except (NoAnswerError, UnsendableError) as error:
            return Failure(str(error), retryable=True)
        return judged(response, reads_replies=self._reads_replies)

    async def _exchange(self, method: bytes, path: bytes, event: Event) -> Response:
        lines = (method, path, self._fixed, self._identify(), event.head(), _trace_line(event))
        head = b"%b %b HTTP/1.1\r\n%b%b%b%b\r\n" % lines
        timeout_seconds = self._schedule.timeout_seconds * self._schedule.scale
        return await self._client.send(head, event.data or b"", timeout_seconds)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise AbandonedError


def judged(response: Response, *, reads_replies: bool = True) -> Event | Failure | None:
    """What an answer counts as: None or the reply for success, else the failure."""
    status = response.status
    if status >= 300:
        return Failure(f"answered {status}", status in RETRIED or status >= 500, response)
    if not reads_replies or not (response.body or response.headers):
        return None
    headers = header_text(response.headers)
    attributes = {name[3:]: value for name, value in headers.items() if name.startswith("ce-")}
    if not response.body and "specversion" not in attributes:
        return None
    try:
        return message_event(attributes, headers.get("content-type"), response.body)
    except NotAnEventError as error:
        if not response.body:
            return None
        return Failure(f"answered {status} with a body that is no CloudEvent: {error}", retryable=False)


def dead_letter(event: Event, failure: Failure, subscriber_url: str) -> Event:
    """The event as it goes to the dead letter sink."""
    extensions = {"specversion": "1.0", _DEST: subscriber_url}
    noted: Mapping[str, str] = {}
    if failure.response is not None:
        extensions[_CODE] = str(failure.response.status)
        noted = _noted(failure.response)
        extensions |= {name: value for name, value in noted.items() if name not in (*_ATTRIBUTES, _DATA)}
        if body := failure.response.body[:ERROR_DATA_BYTES_MAX]:
            extensions[_DATA] = base64.b64encode(body).decode()
        elif _DATA in noted:
            extensions[_DATA] = noted[_DATA]
    twice = [(name, value) for name, value in noted.items() if name in _ATTRIBUTES]
    return event.with_extensions(extensions, twice)


def _noted(response: Response) -> Mapping[str, str]:
    # a name that is not letters and digits wedges the event in the real one for ever: such a note is left out here
    headers = header_text(response.headers)
    notes = {name[4:]: value for name, value in headers.items() if name.startswith("kne-")}
    return {name: value for name, value in notes.items() if _EXTENSION.fullmatch(name)}


def _fixed_lines(url: str, namespace: str) -> bytes:
    host = urlsplit(url).netloc
    return f"host: {host}\r\nuser-agent: zerocart-delivery\r\nprefer: reply\r\nkn-namespace: {namespace}\r\n".encode()


def _path(url: str) -> bytes:
    parts = urlsplit(url)
    return f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}".encode()


def _trace_line(event: Event) -> bytes:
    if event.trace is None:
        return b""
    trace_id, flags = event.trace
    return f"traceparent: 00-{trace_id}-{secrets.token_hex(8)}-{flags}\r\n".encode()
