"""A raw TCP server that answers by script, with every fault an HTTP server can have."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

BODILESS = (204, 304)
DEFAULT = {"status": 204}


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header values are Latin-1, untouched."""

    method: str
    path: str
    pairs: Sequence[tuple[str, str]]
    body: bytes
    arrived: float

    @property
    def headers(self) -> dict[str, str]:
        """By name, the first of a repeated one."""
        return dict(reversed(self.pairs))


class ScriptedServer:
    """Answers the record at offset 0 by the script of its path, everything else with 204."""

    def __init__(self, scripts: Mapping[str, Sequence[Mapping[str, Any]]], scale: float, port: int = 0) -> None:
        self._port = port
        self.requests: list[Request] = []
        self.answered: dict[str, list[float]] = {path: [] for path in scripts}
        self._scripts = scripts
        self._scale = scale
        self._server: asyncio.Server | None = None
        self.url = ""
        self.gate: asyncio.Event | None = None

    async def __aenter__(self) -> ScriptedServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=2**22)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    def seen(self, path: str) -> list[Request]:
        """The requests about the record at offset 0 that came to a path."""
        return [r for r in self.requests if r.path == path and r.headers.get("ce-knativekafkaoffset") == "0"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._turn(reader, writer):
                pass
        writer.close()

    async def _turn(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await _read(reader)
        self.requests.append(request)
        if self.gate is not None:
            await self.gate.wait()
        script = self._scripts.get(request.path, ())
        if request.headers.get("ce-knativekafkaoffset") != "0" or not script:
            answer: Mapping[str, Any] = DEFAULT
        else:
            answer = script[min(len(self.seen(request.path)), len(script)) - 1]
        await asyncio.sleep(answer.get("delay_ms", 0) / 1000 * self._scale)
        keep = await self._answer(answer, writer)
        self.answered.setdefault(request.path, []).append(asyncio.get_running_loop().time())
        return keep

    async def _answer(self, answer: Mapping[str, Any], writer: asyncio.StreamWriter) -> bool:
        action = answer.get("action", "")
        if action == "hang":
            await asyncio.sleep(answer["hang_ms"] / 1000 * self._scale)
            return False
        if action.startswith("reset"):
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if action in ("close", "reset"):
            return False
        if action == "raw":
            writer.write(answer["raw"].encode("latin-1"))
            await writer.drain()
            return not answer.get("then_close")
        if action in ("close_mid", "reset_mid"):
            writer.write(b"HTTP/1.1 200 X\r\ncontent-length: 20\r\n\r\npart")
            await writer.drain()
            await asyncio.sleep(0.02)  # so that the part arrives before the reset
            return False
        await self._plain(answer, writer)
        return True

    async def _plain(self, answer: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        body = base64.b64decode(answer["body_base64"]) if "body_base64" in answer else answer.get("body", "").encode()
        head = f"HTTP/1.1 {answer['status']} X\r\n"
        for name, value in answer.get("headers", ()):
            head += f"{name}: {value.replace('${SERVER}', self.url)}\r\n"
        bodiless = answer["status"] in BODILESS
        if not bodiless:
            head += f"Content-Length: {len(body)}\r\n"
        writer.write(head.encode("latin-1") + b"\r\n")
        if "drip_ms" in answer:
            for index in range(len(body)):
                await asyncio.sleep(answer["drip_ms"] / 1000 * self._scale)
                writer.write(body[index : index + 1])
        elif not bodiless:
            writer.write(body)
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    arrived = asyncio.get_running_loop().time()
    first, *lines = head[:-4].split("\r\n")
    method, path, _ = first.split(" ")
    pairs = [(name.lower(), value) for name, _, value in (line.partition(": ") for line in lines)]
    length = int(dict(pairs).get("content-length", "0"))
    return Request(method, path, pairs, await reader.readexactly(length), arrived)
