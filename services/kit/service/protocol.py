"""uvicorn's HTTP protocol, with a bound on the time in which a request arrives."""

from __future__ import annotations

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["ARRIVAL_SECONDS_MAX", "BoundedProtocol"]

ARRIVAL_SECONDS_MAX = 35.0
"""Longer than a route waits for the body, so that the route answers first (`BODY_SECONDS_MAX`)."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection if a request, with its body, does not arrive within ARRIVAL_SECONDS_MAX.

    uvicorn alone waits without end for the first request and for the rest of a body that no route reads.
    """

    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wait for the first request."""
        super().connection_made(transport)
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
