"""Invalid input gets a 4xx answer that names the error, and nothing is recorded."""

from __future__ import annotations

import json
import re

import pytest

from services.kit.config.rates import Rate
from tests.services import read_side
from tests.services.system import ADDRESS, order, running
from tests.tokens import customer

GOOD = order(("P", 1))
PRICE = {"amount": "2.50", "currency": "GBP"}
ITEM = {"product_id": "P", "product_name": "P", "quantity": 1, "unit_price": PRICE}

BODIES = {
    "empty": b"",
    "not json": b"{",
    "nan": json.dumps(GOOD).replace('"2.50"', "NaN").encode(),
    "lone surrogate": json.dumps(GOOD).replace("Leeds", "\\ud800").encode(),
    "nul": json.dumps(GOOD).replace("Leeds", "\\u0000").encode(),
    "not utf-8": json.dumps(GOOD).encode().replace(b"Leeds", b"\xff\xfe"),
    "deep": b"[" * 100_000,
    "a name twice": json.dumps(GOOD).replace("{", '{"email": "bob@example.com", ', 1).encode(),
    "infinity by size": json.dumps(GOOD).replace('"2.50"', "1e999").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
    "utf-16": json.dumps(GOOD).encode("utf-16"),
    "an array": b"[]",
    "null": b"null",
    "a number": b"7",
}
CHANGES = {
    "no items": {"items": []},
    "unknown field": {"discount": 5},
    "no customer": {"email": None},
    "bad email": {"email": "nobody"},
    "email with a line break": {"email": "a@b\r\nBcc: c@d"},
    "quantity 0": {"items": [ITEM | {"quantity": 0}]},
    "quantity as text": {"items": [ITEM | {"quantity": "1"}]},
    "negative price": {"items": [ITEM | {"unit_price": {"amount": "-1", "currency": "GBP"}}]},
    "infinite price": {"items": [ITEM | {"unit_price": {"amount": "Infinity", "currency": "GBP"}}]},
    "unknown currency": {"items": [ITEM | {"unit_price": {"amount": "1", "currency": "ZZZ"}}]},
    "currency of the total unknown": {"expected_total": {"amount": "5.00", "currency": "ZZZ"}},
    "no currency": {"items": [ITEM | {"unit_price": {"amount": "1", "currency": "XXX"}}]},
    "mixed currencies": {"items": [ITEM, ITEM | {"unit_price": {"amount": "1", "currency": "USD"}}]},
    "nothing to pay": {"items": [ITEM | {"unit_price": {"amount": "0", "currency": "GBP"}}]},
    "product that the shop does not sell": {"items": [{"product_id": "P", "quantity": 1}]},
    "discount with fractions of a penny": {"discounts": [{"amount": {"amount": "0.001", "currency": "GBP"}}]},
    "discount above 100 percent": {"discounts": [{"percent": "100.1"}]},
    "discount of two kinds": {"discounts": [{"percent": "10", "amount": {"amount": "1", "currency": "GBP"}}]},
    "discount of no kind": {"discounts": [{"reason": "loyal"}]},
    "negative shipping cost": {"shipping_cost": {"amount": "-1.00", "currency": "GBP"}},
    "tax rate as a number": {"items": [ITEM | {"tax_rate": 20}]},
    "percent in a product": {"items": [ITEM | {"product_id": "50%"}]},
    "non-ascii product": {"items": [ITEM | {"product_id": "é"}]},
    "no country": {"shipping_address": {k: v for k, v in ADDRESS.items() if k != "country"}},
    "country without a code": {"shipping_address": ADDRESS | {"country": "XX"}},
    "billed to such a country": {"billing_address": ADDRESS | {"country": "UK"}},
    "card number": {"payment_method": {"kind": "card", "token": "4242 4242 4242 4242"}},
    "too many items": {"items": [ITEM] * 2_001},
}


async def test_malformed_orders_are_refused(database):
    async with running(database) as system:
        for name, body in BODIES.items():
            answer = await system.orders.post("/orders", content=body, headers={"content-type": "application/json"})
            assert 400 <= answer.status_code < 500, (name, answer.status_code, answer.text)
            assert answer.headers["content-type"] == "application/problem+json", name
        for name, change in CHANGES.items():
            answer = await system.place(GOOD | change)
            assert answer.status_code == 422, (name, answer.text)
            assert answer.json()["errors"], name
        draft = await system.orders.put("/orders/ord_none", json=GOOD | CHANGES["unknown currency"])
        assert (draft.status_code, "ISO 4217" in draft.text) == (422, True)
        huge = await system.orders.post("/orders", content=b" " * 1_000_001)
        assert huge.status_code == 413
        text = await system.orders.post("/orders", content=b"{}", headers={"content-type": "text/plain"})
        assert text.status_code == 415
        assert await system.rows("SELECT 1 FROM log.events") == []


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/orders/ord_none/cancel"), ("POST", "/orders/ord_none/submit"), ("PATCH", "/orders/ord_none")],
)
async def test_a_command_for_an_unknown_order_gets_404(database, method, path):
    async with running(database) as system:
        body = {"reason": "x"} if "cancel" in path else {"notes": "x"} if method == "PATCH" else None
        answer = await system.orders.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found")


HEADERS = {
    "ce-specversion": "1.0", "ce-id": "x:1", "ce-source": "/zerocart/orders", "ce-subject": "ord_1",
    "ce-type": "zerocart.orders.order.created.v1", "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json",
}  # fmt: skip
EVENTS = {
    "no attributes": ({k: v for k, v in HEADERS.items() if not k.startswith("ce-")}, b"{}"),
    "no id": ({k: v for k, v in HEADERS.items() if k != "ce-id"}, b"{}"),
    "no time": ({k: v for k, v in HEADERS.items() if k != "ce-time"}, b"{}"),
    "time without zone": (HEADERS | {"ce-time": "2026-01-01T00:00:00"}, b"{}"),
    "other version": (HEADERS | {"ce-specversion": "0.3"}, b"{}"),
    "percent": (HEADERS | {"ce-subject": "a%20b"}, b"{}"),
    "hyphen in a name": (HEADERS | {"ce-my-ext": "x"}, b"{}"),
    "unknown type": (HEADERS | {"ce-type": "zerocart.nobody.said.v1"}, b"{}"),
    "not json": (HEADERS, b"{"),
    "wrong shape": (HEADERS, b'{"order_id": 7}'),
    "batch": ({"content-type": "application/cloudevents-batch+json"}, b"[]"),
    "structured, twice the same name": (
        {"content-type": "application/cloudevents+json"},
        b'{"specversion":"1.0","id":"1","id":"2","source":"/x","type":"t","time":"2026-01-01T00:00:00Z"}',
    ),
    "structured, a float attribute": (
        {"content-type": "application/cloudevents+json"},
        b'{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"2026-01-01T00:00:00Z","n":1.5}',
    ),
}


async def test_a_malformed_event_gets_400_and_is_not_retried(database):
    async with running(database) as system:
        for name, (headers, body) in EVENTS.items():
            answer = await system.bus.clients["fulfillment"].post("/events", content=body, headers=headers)
            assert answer.status_code == 400, name
            assert re.fullmatch("[a-z-]+: [ -~]{5,500}", answer.text), (name, answer.text)
        assert await system.rows("SELECT 1 FROM log.events") == []
        assert await system.rows("SELECT 1 FROM log.failures") == []


async def test_the_reason_of_a_refused_event_names_fields_and_no_value_of_the_data(database):
    data = {"order_id": {"ann@example.com": 1}, "email": ["Ann"], "items": "Ann", "shipping_address": {"name": 7}}
    async with running(database) as system:
        answer = await system.bus.clients["fulfillment"].post(
            "/events", content=json.dumps(data).encode(), headers=HEADERS
        )
    assert answer.text.startswith("bad-data: not valid for zerocart.orders.order.created.v1: ")
    assert "order_id (string_type)" in answer.text
    assert "nn" not in answer.text.replace("(", " ").split()
    assert "Ann" not in answer.text
    assert "ann" not in answer.text


async def test_a_structured_event_is_handled_like_a_binary_one(database):
    async with running(database) as system:
        await system.stock("P", 5)
        placed = await system.place(order(("P", 1)))
        await system.bus.quiet()
        (created,) = [e for e in system.bus.published if e.type.endswith("order.created.v1")]
        event = {
            "specversion": "1.0", "id": f"{created.stream}:1", "source": "/zerocart/orders", "type": created.type,
            "subject": placed.json()["order_id"], "time": "2026-01-01T00:00:00Z", "datacontenttype": "application/json",
            "data": json.loads(created.data),
        }  # fmt: skip
        before = len(system.bus.published)
        headers = {"content-type": "application/cloudevents+json"}
        answer = await system.bus.clients["fulfillment"].post("/events", json=event, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        await system.bus.quiet()
        assert len(system.bus.published) == before  # the inbox knows it by source and id


async def test_other_media_types_and_encodings_and_long_addresses_and_headers_are_refused(database):
    async with running(database) as system:
        body = json.dumps(GOOD).encode()

        async def status(path: str = "/orders?draft=true", **headers: str) -> int:
            sent = {"content-type": "application/json"} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            return (await system.orders.post(path, content=body, headers=sent)).status_code

        assert await status() == 201
        assert await status(content_type="application/json; charset=UTF-8") == 201
        assert await status(content_type="application/json; charset=utf-16") == 415
        assert await status(content_type="application/x-www-form-urlencoded") == 415
        assert await status(content_encoding="gzip") == 415
        assert await status(path="/orders?" + "x" * 9_000) == 414
        assert await status(**{f"x_{n}": "y" * 1_000 for n in range(40)}) == 431
        assert len(await system.said("orders.order.drafted")) == 2


async def test_errors_say_in_plain_words_what_is_allowed(database):
    async with running(database) as system:
        address = {**GOOD["shipping_address"], "country": "United Kingdom", "street": "1 High Street"}
        answer = await system.orders.post("/orders", json={**GOOD, "shipping_address": address, "priority": "high"})
        found = {each["field"]: each["detail"] for each in answer.json()["errors"]}
        assert found["shipping_address.country"] == "Send two capital letters, such as GB (ISO 3166-1 alpha-2)."
        assert found["shipping_address.street"].startswith("There is no such field. The fields are: name, ")
        assert found["priority"].startswith("Send 'standard'")
        answer = await system.place(GOOD | {"billing_address": ADDRESS | {"country": "UK"}})
        (error,) = answer.json()["errors"]
        assert error["field"] == "billing_address.country"
        assert error["detail"] == "UK is not the code of a country (ISO 3166-1 alpha-2): send GB instead"
        answer = await system.orders.post("/orders", json={})
        assert {each["detail"] for each in answer.json()["errors"]} == {"This field is required."}
        answer = await system.orders.post("/orders")
        assert [(each["field"], each["detail"]) for each in answer.json()["errors"]] == [("body", "Send a body.")]
        answer = await system.orders.post("/orders?limit=1", json=GOOD)
        assert answer.json()["detail"] == "This route has no parameter limit. Its parameters are: draft, position."
        answer = await system.orders.delete("/orders")
        assert answer.json()["detail"] == "This path has no DELETE. Its methods are: POST."
        trace = "0af7651916cd43dd8448eb211c80319c"
        answer = await system.orders.get("/nothing", headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
        assert trace in answer.headers["traceresponse"]
        assert answer.json()["detail"] == "No route has this path. `GET /openapi.json` lists the routes."


async def test_unknown_and_repeated_parameters_and_keys_are_refused(database):
    async with running(database) as system:
        for query, code in (
            ("darft=true", "unknown-parameter"),
            ("draft=true&draft=false", "repeated-parameter"),
            ("draft=true&%64raft=true", "repeated-parameter"),
        ):
            answer = await system.orders.post(f"/orders?{query}", json=GOOD)
            assert (answer.status_code, answer.json()["code"]) == (422, code)
        twice = [*system.orders.headers.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        answer = await system.orders.post("/orders", json=GOOD, headers=twice)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-idempotency-key")
        assert await system.said("orders.order.created") == await system.said("orders.order.drafted") == []
        answer = await system.bus.clients["payments"].get("/payments/ord_1?colour=red")
        assert (answer.status_code, answer.json()["code"]) == (422, "unknown-parameter")


async def test_a_client_that_exceeds_its_rate_gets_429_with_retry_after(database):
    rates = {"place": Rate(3, 2), "token": Rate(2, 5), "register": Rate(1, 60)}
    async with running(database, rates=rates) as system:

        async def place(who: str) -> int:
            return (await system.orders.post("/orders?draft=true", json=GOOD, headers=customer(who))).status_code

        assert [await place("usr_ann") for _ in range(4)] == [201, 201, 201, 429]
        assert await place("usr_bob") == 201
        assert [(await system.orders.post("/orders?draft=true", json=GOOD)).status_code for _ in range(5)] == [201] * 5
        form = {"grant_type": "client_credentials"}
        del system.users.headers["Authorization"]
        answers = [
            await system.users.post("/token", data=form, headers={"X-Client-Ip": "203.0.113.9"}) for _ in range(3)
        ]
        assert [answer.status_code for answer in answers] == [401, 401, 429]
        assert 1 <= int(answers[2].headers["retry-after"]) <= 6
        elsewhere = await system.users.post("/token", data=form, headers={"X-Client-Ip": "203.0.113.10"})
        assert elsewhere.status_code == 401


async def test_the_error_about_an_email_address_shows_an_example(database):
    async with running(database) as system:
        for email in ("nobody", "a@b\nBcc: c@d", "x" * 255, 7):
            placed = await system.place(GOOD | {"email": email})
            registered = await system.users.post(
                "/users", json={"email": email, "name": "Ann", "password": "long enough"}
            )
            for answer in (placed, registered):
                assert answer.status_code == 422
                detail = "this must be one plain e-mail address, such as ann@example.com"
                assert answer.json()["errors"] == [{"field": "email", "code": "email", "detail": detail}]


async def test_a_wrong_method_gets_405_with_the_allowed_methods(database):
    async with running(database) as system:
        answer = await system.orders.delete("/orders/ord_1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "PATCH, PUT")
        answer = await system.orders.put("/orders/ord_1/submit")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_head_gets_the_headers_of_get(database):
    async with read_side.running(database) as side:
        for path, status in (("/orders?page_size=1", 200), ("/orders/ord_none", 404), ("/orders?colour=red", 422)):
            get, head = await side.query.get(path), await side.query.head(path)
            assert (get.status_code, head.status_code) == (status, status)
            del head.headers["traceresponse"], get.headers["traceresponse"]  # each request has a trace of its own
            assert head.headers == get.headers
        answer = await side.query.delete("/orders/ord_1")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
