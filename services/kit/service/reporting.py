"""Reports to the local cluster how many requests are open, as queue-proxy does to Knative's autoscaler.

One line `<open requests>` on the pipe ZEROCART_REPORT_FD: `0` when ready to serve, then at once when it becomes busy,
and other changes at most every REPORT_SECONDS. Each line wakes the cluster, which costs more than the line.
"""

from __future__ import annotations

import os
from asyncio import TimerHandle, get_running_loop

from services.kit.wire.asgi import App, Receive, Scope, Send

__all__ = ["REPORT_SECONDS", "reported"]

REPORT_SECONDS = 0.2


def reported(app: App) -> App:
    """`app` with reports if ZEROCART_REPORT_FD is set; otherwise `app` itself."""
    fd = os.environ.get("ZEROCART_REPORT_FD")
    return _Reporter(app, int(fd)) if fd else app


class _Reporter:
    def __init__(self, app: App, fd: int) -> None:
        self._app = app
        self._fd = fd
        self._open = 0
        self._said = 0
        self._pause: TimerHandle | None = None
        os.set_blocking(fd, False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._announcing(send))
            return
        self._change(1)
        try:
            await self._app(scope, receive, send)
        finally:
            self._change(-1)

    def _announcing(self, send: Send) -> Send:
        async def announce(event: Scope) -> None:
            await send(event)
            if event["type"] == "lifespan.startup.complete":
                self._say()

        return announce

    def _change(self, by: int) -> None:
        self._open += by
        # busy at once: the first request imports its routes, and no report can be sent meanwhile
        if self._pause is None or self._said == 0:
            self._say()

    def _say(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._said = self._open
        self._pause = get_running_loop().call_later(REPORT_SECONDS, self._resume)
        try:
            os.write(self._fd, b"%d\n" % self._open)
        except (BlockingIOError, BrokenPipeError):
            return  # a listener that does not read must not stop the service

    def _resume(self) -> None:
        self._pause = None
        if self._open != self._said:
            self._say()
