"""uvicorn's HTTP protocol, with a bound on the time in which a request arrives, and answers sent at once."""

from __future__ import annotations

from asyncio import BaseProtocol, TimerHandle, Transport, get_running_loop
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["ARRIVAL_SECONDS_MAX", "BoundedProtocol"]

ARRIVAL_SECONDS_MAX = 35.0
"""Longer than a route waits for the body, so that the route answers first (`BODY_SECONDS_MAX`)."""


class JoinedWrites(Transport):
    """A transport that sends two successive writes as one: the head of an answer with its body.

    uvicorn writes them one after the other, and the second system call wakes the client a second time. A write that no
    other follows is sent when the event loop goes on.
    """

    def __init__(self, transport: Transport) -> None:
        super().__init__()
        self._transport = transport
        self._loop = get_running_loop()
        self._held = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Send what was written before together with `data`, or wait for the next write."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        else:
            self._held = bytes(data)
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """Send what was written, then close."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether the connection closes."""
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the transport knows of the connection."""
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        """Stop reading."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Read again."""
        self._transport.resume_reading()

    def set_protocol(self, protocol: BaseProtocol) -> None:
        """Replace the protocol."""
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection if a request, with its body, does not arrive within ARRIVAL_SECONDS_MAX.

    uvicorn alone waits without end for the first request and for the rest of a body that no route reads.
    """

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(JoinedWrites(transport))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timer of a connection that has ended."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Wait for the rest of the request."""
        super().on_message_begin()
        self._wait()

    def on_message_complete(self) -> None:
        """Cancel the timer of a request that has arrived."""
        super().on_message_complete()
        self._stop_waiting()

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(ARRIVAL_SECONDS_MAX, self._close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close(self) -> None:
        if self.flow.read_paused:  # the service does not read, so that the client cannot send
            self._wait()
        else:
            self.transport.close()
