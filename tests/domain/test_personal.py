"""Encryption of personal data: what is encrypted, what is read again, and what remains after an erasure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.contracts import fulfillment, notifications, orders, shipping, users
from services.contracts.orders import Address, OrderCreated, OrderUpdated
from services.contracts.users import UserRegistered
from services.kit.domain.errors import Invalid
from services.kit.domain.message import ERASED, Message
from services.kit.privacy.encryption import PERSONAL, decrypt, encrypt, personal_fields
from services.kit.privacy.vault import MemoryVault

HOME = {"name": "Ann Ó Né", "line1": "1 Road", "city": "Leeds", "postal_code": "LS1", "country": "GB"}
ORDER = {
    "order_id": "ord_1",
    "customer_id": "usr_1",
    "email": "ann@example.com",
    "customer_name": "Ann",
    "lines": [{"product_id": "P", "product_name": "Pen", "quantity": 2, "unit_price": "2.505"}],
    "total": {"amount": "5.01", "currency": "GBP"},
    "shipping_address": HOME,
    "payment_method": {"kind": "card", "token": "tok_1"},
    "notes": "leave it with the neighbour",
}
PRIVATE = ("Ann", "ann@", "1 Road", "Leeds", "LS1", "neighbour")


def every_message() -> list[type[Message]]:
    modules = (fulfillment, notifications, orders, shipping, users)
    classes = [each for module in modules for each in vars(module).values() if isinstance(each, type)]
    return [each for each in classes if issubclass(each, Message) and "type" in vars(each)]


PERSONAL_MESSAGES = [model for model in every_message() if personal_fields(model)]


@pytest.mark.parametrize("model", PERSONAL_MESSAGES, ids=lambda model: model.type)
def test_every_message_with_personal_data_names_its_person(model: type[Message]) -> None:
    assert model.person_in
    assert set(model.person_in) <= set(model.model_fields)
    assert model.model_fields[model.person_in[-1]].is_required()
    assert PERSONAL not in model.model_fields


def test_the_messages_with_personal_data_are_listed_here() -> None:
    assert {model.__name__ for model in PERSONAL_MESSAGES} >= {
        "OrderCreated", "OrderUpdated", "OrderCancelled", "OrderFailed", "FulfillmentPrepare", "ShipmentCreate",
        "ConfirmationSend", "CancellationSend", "RunStarted", "RunAmended", "UserRegistered", "VerificationRequested",
    }  # fmt: skip


async def test_stored_text_shows_no_personal_data_and_is_decrypted() -> None:
    vault, order = MemoryVault(), OrderCreated.model_validate(ORDER)
    (text,) = await encrypt(vault, [order])
    assert not any(word in text for word in PRIVATE)
    assert json.loads(text)["lines"] == ORDER["lines"]
    assert json.loads(text)["shipping_address"] == {"country": "GB"}
    assert await decrypt(vault, [(OrderCreated, text)]) == [order]
    assert await decrypt(vault, [(OrderCreated, text.encode())]) == [order]


async def test_an_erased_person_leaves_only_the_accounting_data() -> None:
    vault, order = MemoryVault(), OrderCreated.model_validate(ORDER)
    (before,) = await encrypt(vault, [order])
    await vault.erase("usr_1")
    (after,) = await encrypt(vault, [order])
    for text in (before, after):
        (left,) = await decrypt(vault, [(OrderCreated, text)])
        assert isinstance(left, OrderCreated)
        assert (left.email, left.customer_name, left.notes) == (None, None, None)
        assert left.shipping_address == Address(name=ERASED, line1=ERASED, city=ERASED, country="GB")
        assert (left.total, left.lines) == (order.total, order.lines)
    assert "sealed" not in json.loads(after)[PERSONAL]


async def test_a_guest_is_erased_by_the_id_of_the_order() -> None:
    vault, order = MemoryVault(), OrderCreated.model_validate({**ORDER, "customer_id": None})
    (text,) = await encrypt(vault, [order])
    assert json.loads(text)[PERSONAL]["person"] == "ord_1"


async def test_a_message_without_personal_data_is_not_encrypted() -> None:
    vault, change = MemoryVault(), OrderUpdated(order_id="ord_1")
    assert await encrypt(vault, [change]) == [change.write()]


async def test_a_message_in_clear_text_is_still_read() -> None:
    order = OrderCreated.model_validate(ORDER)
    assert await decrypt(MemoryVault(), [(OrderCreated, order.write())]) == [order]


async def test_an_encrypted_message_of_a_newer_producer_is_read() -> None:
    vault, order = MemoryVault(), OrderCreated.model_validate(ORDER)
    content = json.loads((await encrypt(vault, [order]))[0])
    content["gift"] = True
    content["shipping_address"]["floor"] = 3
    content["lines"][0]["colour"] = "red"
    assert await decrypt(vault, [(OrderCreated, json.dumps(content))]) == [order]


@pytest.mark.parametrize(
    "change",
    [
        {"lines": [{"product_id": "P", "product_name": "Pen", "quantity": 0, "unit_price": "1"}]},
        {"placed_at": "yesterday"},
        {"placed_at": "2026-03-01T12:00:00"},
        {"order_id": 7},
        {"total": None},
        {"payment_method": {"kind": "card", "token": "\ud800"}},
    ],
)
async def test_an_invalid_encrypted_message_is_refused_like_any_other(change: dict[str, object]) -> None:
    vault = MemoryVault()
    content = json.loads((await encrypt(vault, [OrderCreated.model_validate(ORDER)]))[0])
    for found in ({**content, **change}, {**ORDER, **change}):
        with pytest.raises(ValidationError):
            await decrypt(vault, [(OrderCreated, json.dumps(found))])


@pytest.mark.parametrize(
    "change",
    [
        lambda part: {**part, "sealed": part["sealed"][:-8] + "AAAAAAA="},
        lambda part: {**part, "sealed": "no base64 at all"},
        lambda part: {**part, "sealed": ""[:0] + "AAAA"},
        lambda part: {**part, "person": "usr_2"},
    ],
)
async def test_an_altered_or_moved_ciphertext_is_refused(change) -> None:
    vault = MemoryVault()
    await vault.key_for("usr_2")
    (text,) = await encrypt(vault, [OrderCreated.model_validate(ORDER)])
    content = json.loads(text)
    content[PERSONAL] = change(content[PERSONAL])
    with pytest.raises(Invalid):
        await decrypt(vault, [(OrderCreated, json.dumps(content))])


async def test_a_ciphertext_cannot_be_moved_to_another_message_type() -> None:
    vault = MemoryVault()
    (text,) = await encrypt(vault, [OrderCreated.model_validate(ORDER)])
    with pytest.raises(Invalid):
        await decrypt(vault, [(orders.OrderDrafted, text)])


names = st.text(min_size=1, max_size=100).filter(lambda text: text.strip() == text and "\0" not in text)


@given(name=names, age=st.none() | st.integers(18, 120), company=st.none() | names)
async def test_any_personal_data_is_read_as_written(name: str, age: int | None, company: str | None) -> None:
    vault = MemoryVault()
    person = UserRegistered(user_id="usr_1", email="a@example.com", name=name, age=age, company=company)
    assert await decrypt(vault, [(UserRegistered, (await encrypt(vault, [person]))[0])]) == [person]
