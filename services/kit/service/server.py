"""uvicorn's server. When the process stops, it ends answers that would not end by themselves (event streams)."""

from __future__ import annotations

import sys
from contextlib import suppress
from socket import socket

import uvicorn

from services.kit.service.service import Service

__all__ = ["serve"]

STARTUP_FAILURE = 3
"""The exit status with which `uvicorn.run` ends, too."""


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Tell the service before the server waits for the requests that it answers."""
        self._service.leave()
        await super().shutdown(sockets)


def serve(service: Service, config: uvicorn.Config) -> None:
    """Serve until SIGTERM; exits with STARTUP_FAILURE if the server cannot start."""
    server = _Server(config, service)
    with suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)
