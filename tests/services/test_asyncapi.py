"""Events of every kind are as the AsyncAPI document says, and the document names no field with personal data."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from scripts.asyncapi import DOCUMENT, written
from services.orders.shop_rules import Review, ShopRules
from services.published import PUBLISHED, shown
from tests.services import read_side
from tests.services.system import running
from tests.services.test_answers import a_catalogue, an_account, orders_of_every_kind


def document() -> dict[str, Any]:
    return json.loads(DOCUMENT.read_text())


def test_the_document_is_made_from_the_present_code():
    assert DOCUMENT.read_text() == written(), "run `make openapi`"


def test_the_document_has_every_published_type():
    messages = document()["components"]["messages"]
    assert messages.keys() == PUBLISHED.keys()
    for name, message in messages.items():
        assert message["summary"].endswith("."), name
        assert "`events:read`" in message["description"], name


def test_no_schema_has_personal_or_hidden_fields():
    schemas = document()["components"]["schemas"]
    fields = {field for schema in schemas.values() for field in schema.get("properties", {})}
    assert fields & {"email", "customer_name", "line1", "payment_method", "personal", "phone"} == set()


async def test_published_events_are_as_the_document_says(database):
    known, seen = document(), set[str]()
    rules = ShopRules(review=Review(total_above={"GBP": Decimal(1_000)}))
    async with running(database, rules=rules) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        await an_account(system)
        await a_catalogue(system, side)
        await orders_of_every_kind(system)
        await system.bus.quiet()
        for event in system.bus.published:
            if event.type in PUBLISHED:
                schema = {**known["components"]["messages"][event.type]["payload"], "components": known["components"]}
                Draft202012Validator(schema, format_checker=FormatChecker()).validate(shown(event))
                seen.add(event.type)
    assert len(seen) > 30
