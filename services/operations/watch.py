"""Serves the metrics of all services to Prometheus at /metrics, so that no service wakes for it.

`python -m services.operations.watch`, with the settings of operations and ZEROCART_READ_DATABASE_URL.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys

from services.kit.config.settings import Settings
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.telemetry.logging import configure, log
from services.kit.telemetry.metrics import MEDIA_TYPE, text
from services.kit.wire.asgi import HEALTH_PATHS, Receive, Scope, Send, send_body, send_empty
from services.operations.counts import Counts

__all__ = ["Watch", "main"]

ANSWER_SECONDS_MAX = 30.0
RETRY_SECONDS = 5


class Watch:
    """An ASGI application of one page."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self._counts.close()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["path"] == "/metrics":
            await self._metrics(send)
        else:
            await send_empty(send, 200 if scope["path"] in HEALTH_PATHS else 404)

    async def _metrics(self, send: Send) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                await self._counts.refresh()
        except (Unavailable, TimeoutError) as error:
            log("metrics cannot be read", level=logging.WARNING, error=error)
            await send_empty(send, 503, retry_after_seconds=RETRY_SECONDS)
            return
        await send_body(send, 200, text(self._counts.exported()), MEDIA_TYPE)


def main() -> None:
    """Serve until SIGTERM."""
    import uvicorn

    from services.kit.service.protocol import BoundedProtocol

    try:
        settings = Settings.from_environment("operations")
        configure("watch", settings.log_level)
        settings.require(
            ZEROCART_DATABASE_URL=settings.database_url(), ZEROCART_READ_DATABASE_URL=settings.read_database_url()
        )
    except ZerocartError as error:
        sys.exit(str(error))
    uvicorn.run(
        Watch(Counts(settings.database_url, settings.read_database_url)),
        host="0.0.0.0",  # noqa: S104 - in a container, where the platform decides who can reach it
        port=int(os.environ.get("PORT", "8080")),
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
