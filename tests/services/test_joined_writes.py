"""The transport that sends the head of an answer together with its body."""

from __future__ import annotations

import asyncio
from asyncio import BaseProtocol, Transport
from typing import Any

import pytest

from services.kit.service.protocol import JoinedWrites


class Recorder(Transport):
    """A transport that stores what is sent, and the calls that change its state."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.sent: list[bytes] = []
        self.calls: list[str] = []

    def write(self, data: Any) -> None:
        assert "close" not in self.calls
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def is_closing(self) -> bool:
        return "close" in self.calls

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self) -> None:
        self.calls.append("resume")

    def set_protocol(self, protocol: BaseProtocol) -> None:
        self.calls.append("protocol")


@pytest.mark.parametrize("body", [b"body", b"", bytearray(b"body"), memoryview(b"body")])
async def test_two_writes_are_sent_as_one(body: Any) -> None:
    under = Recorder()
    joined = JoinedWrites(under)
    joined.write(b"head ")
    joined.write(body)
    assert under.sent == [b"head " + bytes(body)]
    await asyncio.sleep(0)
    assert len(under.sent) == 1


async def test_a_write_that_no_other_follows_is_sent_when_the_loop_goes_on() -> None:
    under = Recorder()
    joined = JoinedWrites(under)
    joined.write(b"HTTP/1.1 100 Continue")
    assert under.sent == []
    await asyncio.sleep(0)
    assert under.sent == [b"HTTP/1.1 100 Continue"]


async def test_the_parts_of_a_stream_are_sent_in_order_and_none_waits_for_the_next() -> None:
    under = Recorder()
    joined = JoinedWrites(under)
    for number in range(50):
        joined.write(b"%d " % number)
        if number % 3 == 0:
            await asyncio.sleep(0)
            assert b"".join(under.sent) == b"".join(b"%d " % each for each in range(number + 1))
    joined.close()
    assert b"".join(under.sent) == b"".join(b"%d " % each for each in range(50))


async def test_what_was_written_is_sent_before_the_connection_closes() -> None:
    under = Recorder()
    joined = JoinedWrites(under)
    joined.write(b"last words")
    joined.close()
    await asyncio.sleep(0)
    assert (under.sent, under.calls, joined.is_closing()) == ([b"last words"], ["close"], True)


async def test_the_rest_of_the_transport_is_that_of_the_connection() -> None:
    under = Recorder()
    joined = JoinedWrites(under)
    joined.pause_reading()
    joined.resume_reading()
    joined.set_protocol(BaseProtocol())
    assert under.calls == ["pause", "resume", "protocol"]
    assert joined.get_extra_info("peername") == ("127.0.0.1", 1)
    assert joined.get_extra_info("sslcontext", "none") == "none"
