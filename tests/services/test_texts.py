"""Texts in requests: no control character reaches anything that is shown, logged or stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from scripts.openapi import DOCUMENT
from tests.services.system import ADDRESS, System, order, running

ODD = ("\0", "\x07", "\t", "\r", "\x1b[2J", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066")
LINES = {"notes", "description", "text"}
"""The fields of which a text may have several lines."""
Place = tuple[str | int, ...]


def bodies() -> Iterator[tuple[str, str, list[Place]]]:
    """Method, path and places of texts of every route that reads JSON."""
    document = json.loads(DOCUMENT.read_text())
    named: Mapping[str, Any] = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            if "application/json" in content:
                yield method.upper(), path, list(dict.fromkeys(texts(content["application/json"]["schema"], named)))


def texts(schema: Mapping[str, Any], named: Mapping[str, Any], place: Place = ()) -> Iterator[Place]:
    """The places of the texts in a schema."""
    if "$ref" in schema:
        yield from texts(named[schema["$ref"].rpartition("/")[2]], named, place)
    for part in (*schema.get("anyOf", ()), *schema.get("allOf", ())):
        yield from texts(part, named, place)
    for name, part in schema.get("properties", {}).items():
        yield from texts(part, named, (*place, name))
    if "items" in schema:
        yield from texts(schema["items"], named, (*place, 0))
    if schema.get("type") == "string" and not {"enum", "const"} & schema.keys():
        yield place


def at(place: Place, text: str) -> Any:
    """A body that has this text at this place, and little else."""
    body: Any = text
    for name in reversed(place):
        body = [body] if isinstance(name, int) else {name: body}
    return {"source": "old-shop", "orders": [{}], **body} if place[0] in ("source", "orders") else body


def client_of(system: System, path: str) -> httpx.AsyncClient | None:
    owners = {
        "orders": "orders", "users": "users", "password-reset": "users", "stock": "inventory", "shipments": "shipping",
        "fulfillments": "fulfillment", "staff": "users", "clients": "users", "payments": "payments", "products": "catalogue",
    }  # fmt: skip
    return system.bus.clients.get(owners.get(path.split("/")[1], ""))


async def refusal(client: httpx.AsyncClient, method: str, path: str, body: Any) -> set[str]:
    """The fields that the answer names: of an import those of its only order."""
    url = path.replace("{user_id}", "usr_" + "0" * 26).replace("{", "").replace("}", "")
    answer = await client.request(method, url, json=body)
    found: Any = answer.json()
    if path.endswith("/imports") and answer.status_code == 200:
        (found,) = found.get("orders") or found["refused"]
    assert found["status"] == 422, (method, path, body, answer.text)
    return {error["field"] for error in found["errors"]}


async def test_a_control_character_is_refused_in_every_text_of_every_body(database):
    asked = 0
    async with running(database) as system:
        for method, path, fields in bodies():
            client = client_of(system, path)
            if client is None:  # operations: its bodies are of the same kind, and its service is not here
                continue
            for place in fields:
                field = ".".join(map(str, place))
                if path.endswith("/imports"):
                    field = field.removeprefix("orders.0.").removeprefix("0.")
                # each field with one of the characters, and each character in many fields
                for odd in (ODD[asked % len(ODD)], *(() if place[-1] in LINES else ("\n",))):
                    assert field in await refusal(client, method, path, at(place, f"a{odd}b")), (path, field, odd)
                asked += 1
        assert asked > 3 * len(ODD)
        assert await system.rows("SELECT 1 FROM log.events") == []


async def test_a_note_may_have_several_lines_and_any_script(database):
    async with running(database) as system:
        notes = "Klingel: Müller\n2. Stock\n\nشكرا 👋"
        answer = await system.orders.post("/orders?draft=true", json=order(("P", 1), notes=notes))
        assert answer.status_code == 201, answer.text


async def test_an_order_with_a_control_character_is_refused_alone_in_an_import(database):
    async with running(database) as system:
        body = order(("P", 1), number="1", placed_at="2020-01-01T00:00:00Z", status="confirmed")
        del body["payment_method"]
        odd = body | {"number": "2", "notes": "a\x07b", "shipping_address": {**ADDRESS, "city": "a\u202eb"}}
        answer = await system.orders.post("/orders/imports", json={"source": "old-shop", "orders": [body, odd]})
        results = answer.json()["orders"]
        assert [each["status"] for each in results] == [201, 422]
        assert {each["field"] for each in results[1]["errors"]} == {"notes", "shipping_address.city"}


async def test_an_event_with_a_text_that_cannot_be_stored_is_refused_at_once(database):
    headers = {
        "ce-specversion": "1.0", "ce-id": "x:1", "ce-source": "/zerocart/orders", "ce-subject": "ord_1",
        "ce-type": "zerocart.orders.order.cancellation_requested.v1", "ce-time": "2026-01-01T00:00:00Z",
        "content-type": "application/json",
    }  # fmt: skip
    async with running(database) as system:
        for text in (rb"\u0000", rb"a\\\u0000", rb"\ud800", rb"\udc00\ud800"):
            data = b'{"order_id": "ord_1", "reason": "%s"}' % text
            answer = await system.bus.clients["fulfillment"].post("/events", content=data, headers=headers)
            assert (answer.status_code, answer.text.partition(":")[0]) == (400, "bad-data"), text
        data = rb'{"order_id": "ord_1", "reason": "\\u0000 \ud83d\ude00"}'
        answer = await system.bus.clients["fulfillment"].post("/events", content=data, headers=headers)
        assert answer.status_code == 204
        assert await system.rows("SELECT 1 FROM log.failures") == []
