"""Attacks on the running system that succeeded once and must fail now."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from typing import Annotated, Any

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel

from scripts.openapi import routes_of
from services.kit.auth.access import PUBLIC
from services.kit.config.rates import Rate
from services.kit.config.settings import Settings
from services.kit.rest.app import json_router, rest_app
from services.kit.rest.limits import network_of
from services.kit.rest.problems import ERRORS_MAX, FIELD_CHARS_MAX, headers_of, status_of
from services.kit.wire.asgi import Receive, Scope, TooLarge, TooSlow, read_body
from services.users.proofs import RESET_ANSWER_SECONDS
from tests.services import read_side
from tests.services.served import service_behind
from tests.services.system import ADDRESS, order, running
from tests.services.test_access import ANN, BOB
from tests.services.test_users import active, ask, register
from tests.tokens import TRUST, customer

JSON = {"content-type": "application/json"}
GOOD = order(("P", 1))
LINE = GOOD["items"][0]


def priced(amount: object, **more: Any) -> dict[str, Any]:
    return {"items": [LINE | {"unit_price": {"amount": amount, "currency": "GBP"}} | more]}


def paths_of(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Every method and path of a service."""
    return [(method, route.path) for route in routes_of(service_behind(client)) for method in route.methods or ()]


async def test_nul_in_an_address_is_refused_on_every_route(database):
    async with running(database) as system, read_side.running(database) as side:
        clients = {**system.bus.clients, "query": side.query, "projection": side.projection}
        tried = 0
        for name in set(clients) - {"scheduler", "notifications"}:
            for method, path in paths_of(clients[name]):
                for url in {path.replace("{", "%00{"), path + "?x=%00"} - {path}:
                    answer = await clients[name].request(method, url, json={})
                    assert (answer.status_code, answer.headers["content-type"]) in (
                        (400, "application/problem+json"),
                        (400, "application/json"),  # OAuth's own
                        (200, "application/json"),  # the key set does not look at a query
                    ), (method, url, answer.text)
                    tried += 1
        assert tried > 50


UNKNOWN = {f"name-{number}": 1 for number in range(500)}


async def test_an_answer_about_errors_is_bounded(database):
    async with running(database) as system:
        answer = await system.orders.post("/orders", json=GOOD | UNKNOWN | {"x" * 100_000: 1})
        errors = answer.json()["errors"]
        assert (answer.status_code, len(errors)) == (422, ERRORS_MAX)
        answer = await system.orders.post("/orders", json=GOOD | {"x" * 100_000: 1})
        assert [len(error["field"]) for error in answer.json()["errors"]] == [FIELD_CHARS_MAX]
        many = await system.users.post("/users", json={f"name-{number}": 1 for number in range(5_000)})
        assert (many.status_code, many.json()["code"]) == (413, "too-large")  # who is unknown has little to say


@pytest.mark.parametrize(
    "change",
    [
        priced(2.5), priced(2), priced("1e5"), priced("٣"), priced("1_0"), priced(" 1"), priced("-1"), priced("0x1"),
        priced("1."), priced(".5"), priced("1,50"), priced("NaN"), priced("1e1000000"), priced(True), priced("1" * 16),
        priced("999999999.999999", quantity=1_000_000), {"expected_total": {"amount": 2.5, "currency": "GBP"}},
        {"items": [LINE | {"unit_price": {"amount": "999999", "currency": "GBP"}, "quantity": 1_000_000}] * 2},
    ],
)  # fmt: skip
async def test_an_amount_is_a_text_within_bounds(database, change):
    async with running(database) as system:
        answer = await system.place(GOOD | change)
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"]
        assert await system.rows("SELECT 1 FROM log.events") == []


@pytest.mark.parametrize(
    "text", ["a\r\nBcc: x@example.com", "a\nb", "\x1b[31m", "a\x85b", "a\u2028b", "gpj.\u202efdp", "a\u2066b", "\x7f"]
)
async def test_one_line_texts_have_no_line_breaks_or_direction_marks(database, text):
    async with running(database) as system:
        changes = [
            {"customer_name": text}, {"items": [LINE | {"product_name": text}]},
            *({"shipping_address": ADDRESS | {field: text}} for field in ("name", "line1", "line2", "city", "region")),
        ]  # fmt: skip
        for change in changes:
            answer = await system.place(GOOD | change)
            assert (answer.status_code, bool(answer.json()["errors"])) == (422, True), change
        assert (await system.users.post("/users", json={"name": text})).status_code == 422
        placed = await system.orders.post("/orders?draft=true", json=GOOD | {"notes": "one\ntwo"})
        assert placed.status_code == 201
        for change in ({"customer_name": text}, {"shipping_address": ADDRESS | {"city": text}}, {"email": text}):
            answer = await system.orders.patch(f"/orders/{placed.json()['order_id']}", json=change)
            assert answer.status_code == 422, change


async def test_a_mail_escapes_what_the_customer_typed(database):
    async with running(database) as system:
        await system.stock("P", 5)
        name, product = '<a href="https://evil.example">click</a>', "<script>alert(1)</script>&amp;"
        body = GOOD | {"customer_name": name, "items": [LINE | {"product_name": product}]}
        assert (await system.place(body)).status_code == 202
        await system.bus.quiet()
        (mail,) = system.mails.sent
        html = mail.get_body(("html",))
        assert html is not None
        assert "&lt;a href=" in html.get_content()
        assert not [tag for tag in ("<a", "<script", "&amp;amp;x") if tag in html.get_content()]
        assert mail["To"] == GOOD["email"]


async def test_if_match_does_not_reveal_an_order_of_somebody_else(database):
    async with running(database) as system:
        placed = await system.orders.post("/orders?draft=true", json=GOOD, headers=customer(ANN))
        mine, none = f"/orders/{placed.json()['order_id']}", "/orders/ord_none"
        price = {"amount": "1", "currency": "USD"}
        wrong = GOOD | {"items": [LINE, LINE | {"unit_price": price}]}
        attempts: list[tuple[str, str, Any]] = [
            ("PUT", "", GOOD), ("PUT", "", wrong), ("PATCH", "", {"notes": "x"}),
            ("POST", "/submit", None), ("POST", "/cancel", {"reason": "x"}),
        ]  # fmt: skip
        for method, what, body in attempts:
            for version in ({}, {"If-Match": '"1"'}, {"If-Match": '"7"'}):
                headers = customer(BOB) | version
                answers = [
                    await system.orders.request(method, path + what, json=body, headers=headers)
                    for path in (mine, none)
                ]
                assert answers[0].status_code == 404, (method, version, answers[0].text)
                mine_text, none_text = (
                    answer.text.replace(path.rpartition("/")[2], "")
                    for answer, path in zip(answers, (mine, none), strict=True)
                )
                assert mine_text == none_text
        stale = await system.orders.patch(mine, json={"notes": "x"}, headers=customer(ANN) | {"If-Match": '"7"'})
        assert (stale.status_code, stale.json()["detail"]) == (
            412,
            'The version is 1 now. Read it again, then repeat the change with If-Match: "1".',
        )


async def test_the_same_key_for_another_query_is_another_request(database):
    async with running(database) as system:
        key = {"Idempotency-Key": "k"}
        first = await system.orders.post("/orders?draft=true", json=GOOD, headers=key)
        again = await system.orders.post("/orders?draft=true", json=GOOD, headers=key)
        other = await system.orders.post("/orders", json=GOOD, headers=key)
        assert (first.status_code, again.status_code, again.headers["Idempotent-Replayed"]) == (201, 201, "true")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_rate_limit_counts_before_the_body_is_read(database):
    async with running(database, rates={"register": Rate(3, 60)}) as system:
        del system.users.headers["Authorization"]
        flood = [await system.users.post("/users", content=b"[" * 10_000, headers=JSON) for _ in range(5)]
        assert [answer.status_code for answer in flood] == [400, 400, 400, 429, 429]
        assert int(flood[-1].headers["retry-after"]) > 50


async def test_addresses_of_one_ipv6_network_count_as_one_client(database):
    async with running(database, rates={"token": Rate(2, 60)}) as system:
        form = {"grant_type": "client_credentials"}
        del system.users.headers["Authorization"]

        async def status(address: str) -> int:
            answer = await system.users.post("/token", data=form, headers={"X-Client-Ip": address})
            return answer.status_code

        assert [await status(f"2001:db8:0:1::{number:x}") for number in range(4)] == [401, 401, 429, 429]
        assert await status("2001:db8:0:2::1") == 401
        # a header that is no address names no client: the request counts for the connected peer
        assert [await status(text) for text in ("x" * 8_000, "a", "b", "")] == [401, 401, 429, 429]


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"), ("2001:db8::1", "2001:db8::"),
        ("2001:db8:0:0:ffff::1", "2001:db8::"), ("fe80::1%eth0", "fe80::"), ("", ""), ("x", ""), ("1.2.3", ""),
        ("203.0.113.9, 10.0.0.1", ""), ("203.0.113.9:80", ""), ("01.2.3.4", ""),
    ],
)  # fmt: skip
def test_an_address_counts_as_this_network(address, network):
    assert network_of(address) == network


async def test_a_body_that_arrives_too_slowly_gets_408():
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.02)
        return {"type": "http.request", "body": b" ", "more_body": True}

    with pytest.raises(TooSlow) as caught:
        await read_body(receive, 1_000, seconds_max=0.1)
    assert (status_of(caught.value), headers_of(caught.value)) == (408, {"Connection": "close"})


def breaking() -> FastAPI:
    routes = json_router()

    @routes.get("/broken", dependencies=[PUBLIC])
    async def broken() -> None:
        raise RuntimeError("ann@example.com")

    return rest_app(Settings(service="orders", cors_origins=("https://shop.example",), **TRUST), [routes])


async def test_an_unexpected_error_is_answered_and_closes_no_connection():
    transport = httpx.ASGITransport(breaking())  # which raises what the server would get to see
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        answer = await client.get("/broken", headers={"Origin": "https://shop.example"})
        assert (answer.status_code, answer.json()["code"]) == (500, "internal")
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        assert "ann@" not in answer.text


class Filters(BaseModel):
    status: str


def test_a_route_whose_query_parameters_are_fields_of_a_model_cannot_be_built():
    async def listed(filters: Annotated[Filters, Query()]) -> None: ...

    with pytest.raises(TypeError, match="declare each field of filters"):
        json_router().get("/things")(listed)


async def test_a_page_of_a_configured_origin_can_read_every_answer(database):
    origins = ("https://shop.example", "http://localhost:3000")
    async with running(database, cors_origins=origins) as system:

        async def allowed(origin: str, method: str, url: str, **more: Any) -> tuple[int, str | None]:
            headers = {"Origin": origin, **more.pop("headers", {})}
            answer = await system.orders.request(method, url, headers=headers, **more)
            return answer.status_code, answer.headers.get("access-control-allow-origin")

        for origin in origins:
            asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
            assert await allowed(origin, "OPTIONS", "/orders", headers=asked) == (200, origin)
            assert await allowed(origin, "POST", "/orders?draft=true", json=GOOD) == (201, origin)
            assert await allowed(origin, "POST", "/orders", json={}) == (422, origin)
            assert await allowed(origin, "POST", "/nothing") == (404, origin)
            assert await allowed(origin, "POST", "/orders?" + "x" * 9_000) == (414, origin)
            assert await allowed(origin, "POST", "/orders", headers={"Authorization": "Bearer x"}) == (401, origin)
        for stranger in ("https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example"):
            assert await allowed(stranger, "POST", "/orders", json={}) == (422, None)


async def test_a_password_reset_takes_equally_long_for_an_unknown_address(database):
    async with running(database) as system:
        known = [f"ann{number}@example.com" for number in range(6)]
        for email in known:
            await register(system, email=email)
        taken: dict[bool, list[float]] = {True: [], False: []}
        emails = known + [email.replace("ann", "bob") for email in known]
        random.shuffle(emails)
        for email in emails:
            start = time.perf_counter()
            answer = await system.users.post("/password-reset", json={"email": email})
            taken[email in known].append(time.perf_counter() - start)
            assert (answer.status_code, answer.content) == (202, b"{}")
        assert min(taken[True] + taken[False]) >= RESET_ANSWER_SECONDS
        medians = [statistics.median(times) for times in taken.values()]
        assert abs(medians[0] - medians[1]) < RESET_ANSWER_SECONDS / 3


async def test_a_user_cannot_change_their_own_scopes_or_status(database):
    async with running(database) as system:
        user_id = await active(system)
        for more in ("id", "user_id", "status", "email", "password", "password_hash", "scope", "scopes", "__proto__"):
            body = {"name": "Ann", more: "usr_x"}
            for method in ("PUT", "PATCH"):
                answer = await system.users.request(method, f"/users/{user_id}", json=body, headers=customer(user_id))
                assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, more)
        role = await system.users.patch(f"/users/{user_id}", json={"role": "admin"}, headers=customer(user_id))
        assert role.json()["role"] == "admin"  # what they do for a living
        asked = {"grant_type": "password", "username": "ann@example.com", "password": "correct horse"}
        for scope in ("orders:admin", "users:admin", "orders:read users:admin", "ORDERS:ADMIN", "*"):
            answer = await ask(system, asked | {"scope": scope})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


async def test_a_body_without_a_length_is_read_up_to_the_limit_only():
    parts = [{"type": "http.request", "body": b"x" * 600, "more_body": True}] * 2

    def receiving() -> Receive:
        left = iter(parts)

        async def receive() -> Scope:
            return next(left)

        return receive

    with pytest.raises(TooLarge):
        await read_body(receiving(), 1_000)
