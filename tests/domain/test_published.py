"""What other programs may see: no request between services, and never a personal field."""

from __future__ import annotations

import importlib
import json
import pkgutil
from datetime import UTC, datetime
from decimal import Decimal

import pytest

import services.contracts as contracts
from services.contracts.orders import Address, OrderCreated, OrderLine, PaymentMethod
from services.kit.domain.message import Message, Money
from services.kit.eventstore.port import Position, RecordedEvent
from services.kit.privacy.encryption import encrypt
from services.kit.privacy.vault import MemoryVault
from services.kit.saga.messages import StepRequest
from services.published import PUBLISHED, SCOPES, shown, types_for, types_of, unknown_type, visible_types


def every_message() -> dict[str, type[Message]]:
    modules = [
        importlib.import_module(f"{contracts.__name__}.{m.name}") for m in pkgutil.iter_modules(contracts.__path__)
    ]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, type)]
    return {model.type: model for model in found if issubclass(model, Message) and "type" in vars(model)}


def test_no_request_is_published_and_each_producer_has_scopes():
    messages = every_message()
    assert PUBLISHED.items() <= messages.items()
    assert not any(issubclass(model, StepRequest) or model.expires_after for model in PUBLISHED.values())
    assert {name.split(".")[1] for name in PUBLISHED} == SCOPES.keys()


@pytest.mark.parametrize(
    "beginning",
    ["users.client.", "users.staff.", "users.tokens.", "users.onboarding.", "users.user.password_",
     "users.user.verification_", "notifications.user_", "notifications.endpoint_", "webhooks.endpoint.secret_"],
)  # fmt: skip
def test_no_mail_to_a_person_no_access_right_and_no_secret_is_published(beginning):
    private = {name for name in every_message() if name.startswith(f"zerocart.{beginning}")}
    assert private
    assert not private & PUBLISHED.keys()


@pytest.mark.parametrize(
    ("pattern", "beginning"),
    [("*", "zerocart."), ("zerocart.*", "zerocart."), ("zerocart.orders.*", "zerocart.orders."),
     ("zerocart.payments.refund.*", "zerocart.payments.refund.")],
)  # fmt: skip
def test_a_wildcard_selects_the_types_with_its_beginning(pattern, beginning):
    assert types_of(pattern) == {each for each in PUBLISHED if each.startswith(beginning)} != set()


@pytest.mark.parametrize(
    "pattern", ["", "orders", "zerocart", "zerocart.", "zerocart.order*", "*.created.v1", "**", "zerocart.*.v1"]
)
def test_other_patterns_select_nothing(pattern):
    assert types_of(pattern) == frozenset()


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        ("orders.*", "Did you mean zerocart.orders.*?"),
        ("zerocart.order.*", "Did you mean zerocart.orders.* or zerocart.orders.order.*?"),
        ("zerocart.orders.order.created", "Did you mean zerocart.orders.order.created.v1 or "),
        ("abc.def.v1", "has the type abc.def.v1. Send a whole type"),
    ],
)
def test_an_unknown_type_is_told_with_types_near_it(pattern, near):
    assert near in unknown_type(pattern)
    assert "a final *, such as zerocart.orders.*." in unknown_type(pattern)


def test_patterns_add_up():
    assert types_for([]) == frozenset()
    assert types_for(["zerocart.orders.*", OrderCreated.type]) == types_of("zerocart.orders.*")


def test_without_the_admin_scope_nothing_about_customers_is_visible():
    everything_but = {"orders:read", "payments:read", "shipments:read", "stock:read", "fulfillments:read", "users:read"}
    assert visible_types(everything_but) == frozenset()


def created() -> OrderCreated:
    line = OrderLine(product_id="MUG", product_name="Mug", quantity=1, unit_price=Decimal(1))
    return OrderCreated(
        order_id="ord_1", customer_id="usr_1", email="ann@example.com", customer_name="Ann", notes="ring twice",
        shipping_address=Address(name="Ann", line1="1 Road", city="Leeds", country="GB"),
        billing_address=Address(name="Bob", line1="2 Road", city="York", country="GB"),
        lines=(line,), total=Money(amount=Decimal(1), currency="GBP"), payment_method=PaymentMethod(token="tok_secret"),
        metadata={"gift": "yes"},
    )  # fmt: skip


@pytest.mark.parametrize("sealed", [True, False])
async def test_what_is_shown_has_no_personal_field_and_no_card(sealed):
    data = (await encrypt(MemoryVault(), [created()]))[0] if sealed else created().write()
    meta = json.dumps({"subject": "ord_1"})
    at = datetime(2026, 1, 2, tzinfo=UTC)
    event = shown(RecordedEvent("orders", "order-ord_1", 1, Position(1 << 48), OrderCreated.type, at, data, meta))
    assert event["id"] == "order-ord_1:1"
    assert event["time"] == "2026-01-02T00:00:00Z"
    for secret in ("Ann", "Bob", "Leeds", "York", "ann@", "ring", "tok_secret", "gift", "personal"):
        assert secret not in json.dumps(event)
    assert event["data"]["customer_id"] == "usr_1"
    assert event["data"]["billing_address"] == {"country": "GB"}
