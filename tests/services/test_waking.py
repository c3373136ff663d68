"""A request for its health wakes a service. An accepted command wakes other services, a refused request wakes none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.kit.config.rates import Rate
from services.kit.config.secrets import plain
from services.kit.service.waking import wake
from services.orders.app import WARMS
from services.users.app import WARMS as WARMED_BY_USERS
from tests.services.system import order, running
from tests.tokens import authorization, claims, customer, signed
from tests.waiting import until

PLACED = order(("P", 1))


@asynccontextmanager
async def server(answer: bytes) -> AsyncGenerator[tuple[str, asyncio.Queue[bytes]]]:
    """The address of a server that always gives this answer, and the requests that it has received."""
    requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as one:
        yield f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}", requests


async def test_a_healthy_service_is_woken_by_a_request_for_its_health():
    async with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, requests):
        assert await wake(url)
        assert (await requests.get()).startswith(b"GET /healthz/ready HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 404 Not Found\r\n\r\n", b"HTTP/1.1 503 Service Unavailable\r\n\r\n"]
)
async def test_a_service_that_is_unhealthy_or_gone_is_reported_as_such(answer):
    async with server(answer) as (url, _):
        assert not await wake(url)
    assert not await wake(url)


@asynccontextmanager
async def woken_by(database: Any, **settings: Any) -> AsyncGenerator[tuple[Any, asyncio.Queue[bytes]]]:
    """The running system, and the health requests that its services send to others."""
    async with server(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (url, requests):
        everywhere = dict.fromkeys({*WARMS, *WARMED_BY_USERS}, url)
        async with running(database, service_urls=everywhere, **settings) as system:
            yield system, requests


def bearer(**more: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {signed(claims(**more))}"}


PLACE: dict[str, Any] = {"method": "POST", "url": "/orders", "json": PLACED}
JSON = {"content-type": "application/json"}
USER = "usr_" + "0" * 26
REFUSED: dict[str, tuple[int, dict[str, Any]]] = {
    "no token": (401, PLACE | {"headers": {"Authorization": ""}}),
    "no bearer token": (401, PLACE | {"headers": {"Authorization": "Basic YTpi"}}),
    "a token that is none": (401, PLACE | {"headers": {"Authorization": "Bearer x"}}),
    "a bad signature": (401, PLACE | {"headers": {"Authorization": bearer()["Authorization"][:-8] + "AAAAAAAA"}}),
    "an expired token": (401, PLACE | {"headers": bearer(iat=1_000, nbf=1_000, exp=1_900)}),
    "no scope": (403, PLACE | {"headers": customer("usr_ann", "orders:read")}),
    "somebody else's order": (403, PLACE | {"json": PLACED | {"customer_id": "usr_bob"}, "headers": customer("usr_ann")}),
    "an unknown order": (404, {"method": "POST", "url": "/orders/ord_1/cancel", "json": {"reason": "x"}}),
    "an unknown path": (404, {"method": "POST", "url": "/orders/ord_1/eat", "json": {}}),
    "an unknown method": (405, {"method": "DELETE", "url": "/orders"}),
    "a draft to submit that is none": (404, {"method": "POST", "url": "/orders/ord_1/submit"}),
    "a change of an unknown order": (404, {"method": "PATCH", "url": "/orders/ord_1", "json": {"notes": "x"}, "headers": {"If-Match": '"9"'}}),
    "a body too large": (413, {"method": "POST", "url": "/orders", "content": b"x" * 1_000_001, "headers": JSON}),
    "an address too long": (414, PLACE | {"url": "/orders?" + "x" * 9_000}),
    "headers too long": (431, PLACE | {"headers": {"X": "x" * 40_000}}),
    "another media type": (415, {"method": "POST", "url": "/orders", "content": b"<a/>", "headers": {"content-type": "text/xml"}}),
    "no JSON": (400, {"method": "POST", "url": "/orders", "content": b"{", "headers": JSON}),
    "a wrong field": (422, PLACE | {"json": PLACED | {"items": []}}),
    "a bad Idempotency-Key": (422, PLACE | {"headers": {"Idempotency-Key": "a b"}}),
    "a wrong query": (422, PLACE | {"url": "/orders?draft=perhaps"}),
}  # fmt: skip
"""Statuses of requests to orders that are refused, by the reason."""


@pytest.mark.parametrize("reason", REFUSED)
async def test_a_refused_command_wakes_no_other_service(database, reason):
    status, request = REFUSED[reason]
    async with woken_by(database) as (system, woken):
        answer = await system.orders.request(**request)
        assert answer.status_code == status, answer.text
        await asyncio.sleep(0.1)
    assert woken.empty()


async def test_a_command_beyond_the_rate_wakes_no_other_service(database):
    async with woken_by(database, rates={"place": Rate(1, 60)}) as (system, woken):
        ann = customer("usr_ann")
        refused = [await system.orders.post("/orders", json={}, headers=ann) for _ in range(3)]
        assert [answer.status_code for answer in refused] == [422, 429, 429]
        await asyncio.sleep(0.1)
    assert woken.empty()


async def test_refused_registrations_and_any_reset_wake_no_other_service(database):
    async with woken_by(database) as (system, woken):
        for path, body, status in (
            ("/users", {"name": "Ann"}, 422), (f"/users/{USER}/activate", {"token": "x" * 40}, 404),
            (f"/users/{USER}/verification", {}, 404), ("/password-reset", {"email": "nobody@example.com"}, 202),
            ("/password-reset/confirm", {"token": "x" * 40, "new": "correct horse"}, 422), ("/users/x/y", {}, 404),
        ):  # fmt: skip
            answer = await system.users.post(path, json=body, headers={"Authorization": ""})
            assert answer.status_code == status, (path, answer.text)
        await asyncio.sleep(0.1)
    assert woken.empty()


async def test_an_accepted_order_wakes_the_services_that_it_reaches(database):
    async with woken_by(database) as (system, woken):
        assert (await system.orders.post("/orders", json=PLACED)).status_code == 202
        await until(lambda: woken.qsize() >= len(WARMS))
    assert woken.qsize() == len(WARMS)


async def test_failed_authentications_have_a_rate_of_their_own(database):
    async with running(database, rates={"failed-authentication": Rate(3, 60)}) as system:
        bad, good = {"Authorization": "Bearer x"}, authorization()
        answers = [await system.orders.post("/orders", json={}, headers=bad) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert 50 < int(answers[-1].headers["retry-after"]) <= 60
        # whoever shares the address and has a token is not kept out, and neither is another client
        assert (await system.orders.post("/orders", json={}, headers=good)).status_code == 422
        elsewhere = bad | {"X-Client-Ip": "203.0.113.9"}
        assert (await system.orders.post("/orders", json={}, headers=elsewhere)).status_code == 401


async def test_an_expired_token_fetches_no_keys(database):
    async with server(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n") as (url, requests):
        settings: dict[str, Any] = {"token_keys": plain(""), "token_keys_url": f"{url}/keys"}
        async with running(database, **settings) as system:
            for headers in (
                bearer(iat=1_000, nbf=1_000, exp=1_900),
                bearer(aud="others"),
                {"Authorization": "Bearer x"},
            ):
                assert (await system.orders.post("/orders", json={}, headers=headers)).status_code == 401
            assert requests.empty()
            assert (await system.orders.post("/orders", json={}, headers=bearer())).status_code == 503
            assert not requests.empty()
