"""A service that kills itself, as `kill -9` would, at a chosen point: `crashing SERVICE POINT`.

after_commit: committed, nothing published. during_publication: the first event of the append is on Kafka.
before_answer: all is done, and the caller never hears of it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module

import uvicorn

from services.kit.eventstore.outbox import Publisher
from services.kit.eventstore.port import RecordedEvent
from services.kit.service.host import Host
from services.kit.wire.asgi import App, Receive, Scope, Send

POINTS = ("after_commit", "during_publication", "before_answer")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyPublisher:
    def __init__(self, publisher: Publisher, point: str) -> None:
        self._publisher = publisher
        self._point = point

    async def ensure_available(self) -> None:
        await self._publisher.ensure_available()

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        if self._point == "after_commit":
            die()
        if self._point == "during_publication":
            await self._publisher.publish(events[:1])
            die()
        await self._publisher.publish(events)

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None:
        await self._publisher.republish(key, attributes, data)

    async def close(self) -> None:
        await self._publisher.close()


def deadly_answers(app: App) -> App:
    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def last_words(message) -> None:
            if message["type"] == "http.response.start":
                die()
            await send(message)

        await app(scope, receive, last_words if scope["type"] == "http" else send)

    return wrapped


def main() -> None:
    service, point = sys.argv[1:]
    real = Host.connect(service)
    host = Host.of(
        real.settings, real.store, DeadlyPublisher(real.relay.publisher, point), real.failures, real.handler.vault
    )
    app = import_module(f"services.{service}.app").create_app(host)
    serving = deadly_answers(app) if point == "before_answer" else app
    uvicorn.run(serving, fd=int(os.environ["ZEROCART_LISTEN_FD"]), log_config=None, access_log=False, lifespan="on")


if __name__ == "__main__":
    main()
