"""A tiny HTTP server on loopback that answers every GET with the state of delivery, as JSON."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Mapping

__all__ = ["StatusServer"]

REQUEST_SECONDS_MAX = 5.0


class StatusServer:
    """Answers every GET with the result of `state`."""

    def __init__(self, state: Callable[[], Mapping[str, object]]) -> None:
        self._state = state
        self._server: asyncio.Server | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0, fd: int | None = None) -> int:
        """Listen on an inherited socket or on a port (0: any free one); the port."""
        if fd is None:
            self._server = await asyncio.start_server(self._serve, host, port)
        else:
            self._server = await asyncio.start_server(self._serve, sock=socket.socket(fileno=fd))
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await reader.readuntil(b"\r\n\r\n")
                body = json.dumps(self._state()).encode()
                head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d"
                writer.write(head % len(body) + b"\r\n\r\n" + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return  # the client has disconnected, or sent no valid HTTP
        finally:
            writer.close()
