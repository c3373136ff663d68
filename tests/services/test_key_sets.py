"""Public keys that are fetched from `users` or from an outside OpenID issuer, over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.kit.auth.jwks import (
    FETCH_PAUSE_SECONDS,
    KEY_SET_BYTES_MAX,
    KEYS_STALE_SECONDS_MAX,
    KEYS_TRUSTED_SECONDS,
    RemoteKeys,
)
from services.kit.auth.tokens import ANY_TYPES, Trust, Verifier
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.errors import Unauthenticated, Unavailable, ZerocartError
from tests.services.system import order, running
from tests.tokens import AUDIENCE, KEY, claims, jwk, key_set, signed

OUTSIDE = "https://id.example"
NEXT = Ed25519PrivateKey.generate()


class Issuer:
    """Answers every GET with its key set, or with the answer that the test sets."""

    def __init__(self, *keys: dict[str, str]) -> None:
        self.body = key_set(*keys).encode()
        self.status = 200
        self.headers = ""
        self.asked = 0
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        head = (
            f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n{self.headers}Connection: close\r\n\r\n"
        )
        writer.write(head.encode() + self.body)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def issuing(*keys: dict[str, str]) -> AsyncGenerator[Issuer]:
    issuer = Issuer(*keys)
    server = await asyncio.start_server(issuer.serve, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
    try:
        yield issuer
    finally:
        server.close()


class Time:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def believer(issuer: Issuer, now: Callable[[], float]) -> Verifier:
    return Verifier([Trust(OUTSIDE, AUDIENCE, RemoteKeys(issuer.url, now), ANY_TYPES)])


PLACING = "orders:write orders:price"


def outside(key: Any = KEY, **more: Any) -> str:
    header = {"kid": more.pop("kid")} if "kid" in more else {}
    return signed(claims("usr_ann", PLACING, iss=OUTSIDE, **more), key, typ="JWT", **header)


async def test_a_customer_of_an_outside_issuer_can_place_an_order(database):
    async with issuing(jwk(KEY)) as issuer:
        settings: dict[str, Any] = {
            "outside_issuer": OUTSIDE,
            "outside_audience": "shop",
            "outside_keys_url": issuer.url,
        }
        async with running(database, token_keys=plain(key_set(jwk(NEXT, "ours"))), **settings) as system:
            for token, status in (
                (outside(aud="shop"), 201),
                (outside(aud=AUDIENCE), 401),  # meant for our own tokens
                (outside(NEXT, aud="shop"), 401),
                (signed(claims("usr_ann", PLACING)), 401),  # their key, in our name
                (signed(claims("usr_ann", PLACING), NEXT, kid="ours"), 201),
            ):
                headers = {"Authorization": f"Bearer {token}"}
                answer = await system.orders.post("/orders?draft=true", json=order(("mug", 1)), headers=headers)
                assert answer.status_code == status, answer.text
            assert issuer.asked == 1


async def test_a_new_key_is_fetched_when_a_token_names_it_and_old_keys_expire():
    time = Time()
    async with issuing(jwk(KEY)) as issuer:
        trusting = believer(issuer, time)
        assert await trusting.verify(outside())
        issuer.body = key_set(jwk(KEY), jwk(NEXT, "next")).encode()  # both, for as long as old tokens live
        time.now += FETCH_PAUSE_SECONDS + 1
        assert await trusting.verify(outside(NEXT, kid="next"))
        assert await trusting.verify(outside())
        assert issuer.asked == 2
        issuer.body = key_set(jwk(NEXT, "next")).encode()
        assert await trusting.verify(outside())
        time.now += KEYS_TRUSTED_SECONDS + 1
        with pytest.raises(Unauthenticated):
            await trusting.verify(outside())


async def test_unknown_key_ids_cause_few_requests_to_the_issuer():
    time = Time()
    async with issuing(jwk(KEY)) as issuer:
        trusting = believer(issuer, time)
        assert await trusting.verify(outside())
        for number in range(50):
            with pytest.raises(Unauthenticated):
                await trusting.verify(outside(NEXT, kid=f"made-up-{number}"))
        assert issuer.asked == 1
        time.now += FETCH_PAUSE_SECONDS + 1
        attempts = (trusting.verify(outside(NEXT, kid=f"made-up-{number}")) for number in range(50))
        answers = await asyncio.gather(*attempts, trusting.verify(outside()), return_exceptions=True)
        assert issuer.asked == 2
        assert [isinstance(answer, Unauthenticated) for answer in answers] == [True] * 50 + [False]


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (500, b"", ""), (404, b"", ""), (302, b"", "Location: http://127.0.0.1:1/\r\n"), (200, b"{", ""), (200, b'{"keys":[]}', ""),
        (200, b"[" * 50_000, ""), (200, b" " * (KEY_SET_BYTES_MAX + 1), ""), (200, b'{"keys":[1]}', ""), (200, b"\xff", ""),
    ],
)  # fmt: skip
async def test_keys_are_valid_for_an_hour_while_the_issuer_is_down(status, body, headers):
    time = Time()
    async with issuing(jwk(KEY)) as issuer:
        trusting = believer(issuer, time)
        assert await trusting.verify(outside())
        issuer.status, issuer.body, issuer.headers = status, body, headers
        time.now += KEYS_TRUSTED_SECONDS + 1
        assert await trusting.verify(outside())
        time.now += KEYS_STALE_SECONDS_MAX
        with pytest.raises(Unavailable):
            await trusting.verify(outside())
        with pytest.raises(Unavailable):  # and one that never was there opens nothing
            await believer(issuer, time).verify(outside())


@pytest.mark.parametrize(
    ("environ", "missing"),
    [
        ({"ZEROCART_OUTSIDE_ISSUER": OUTSIDE}, "ZEROCART_OUTSIDE_AUDIENCE, ZEROCART_OUTSIDE_KEYS"),
        ({"ZEROCART_OUTSIDE_ISSUER": OUTSIDE, "ZEROCART_OUTSIDE_AUDIENCE": "x"}, "ZEROCART_OUTSIDE_KEYS"),
        ({"ZEROCART_OUTSIDE_ISSUER": "https://zerocart.example"}, "name another issuer"),
        ({"ZEROCART_EVENTS_ISSUER": OUTSIDE}, "ZEROCART_EVENTS_KEYS"),
    ],
)
def test_a_trusted_issuer_without_keys_stops_the_start(environ, missing):
    with pytest.raises(ZerocartError, match=missing):
        Settings.from_environment("orders", environ)
