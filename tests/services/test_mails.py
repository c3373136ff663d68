"""Mails about orders, from the request to the mail server: what they show, and that each is sent once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.kit.domain.errors import ZerocartError
from services.orders.settings import OrdersSettings
from tests.services.system import System, order, running

SHIPPING = {"amount": "3.00", "currency": "GBP"}


def sent(system: System) -> list[tuple[str, str]]:
    """The kind and the address of each mail."""
    return sorted((mail["Message-ID"][1:].partition(".")[0], mail["To"]) for mail in system.mails.sent)


async def stocked(system: System) -> None:
    client = system.bus.clients["inventory"]
    assert (await client.put("/stock/P", json={"on_hand": 100})).status_code == 200


async def test_a_shop_that_wants_it_mails_once_when_an_order_is_placed_and_once_when_it_is_confirmed(
    database: Any,
) -> None:
    async with running(database, mails_when_placed=True) as system:
        await stocked(system)
        client, headers = system.bus.clients["orders"], {"Idempotency-Key": "once"}
        body = order(("P", 2), shipping_cost=SHIPPING)
        answers = await asyncio.gather(*(client.post("/orders", json=body, headers=headers) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {202}
        await system.bus.quiet()
        assert sent(system) == [("confirmation", "ann@example.com"), ("order_placed", "ann@example.com")]
        for mail in system.mails.sent:
            text = mail.get_body(("plain",)).get_content()  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
            assert "  2 x P: 5.00 GBP\n\n  Subtotal: 5.00 GBP\n  Shipping: 3.00 GBP\n  Total: 8.00 GBP\n" in text


async def test_a_draft_is_acknowledged_when_it_is_submitted(database: Any) -> None:
    async with running(database, mails_when_placed=True) as system:
        await stocked(system)
        client = system.bus.clients["orders"]
        drafted = (await client.post("/orders?draft=true", json=order(("P", 1)))).json()
        await system.bus.quiet()
        assert sent(system) == []
        for _ in range(2):
            assert (await client.post(f"/orders/{drafted['order_id']}/submit")).status_code == 202
        await system.bus.quiet()
        assert [kind for kind, _ in sent(system)] == ["confirmation", "order_placed"]
        assert all(drafted["number"] in mail["Subject"] for mail in system.mails.sent)


async def test_an_order_causes_one_mail_unless_the_shop_wants_more(database: Any) -> None:
    assert not OrdersSettings.from_environment({}).mails_when_placed
    assert OrdersSettings.from_environment({"ZEROCART_MAIL_WHEN_PLACED": "yes"}).mails_when_placed
    with pytest.raises(ZerocartError, match="ZEROCART_MAIL_WHEN_PLACED"):
        OrdersSettings.from_environment({"ZEROCART_MAIL_WHEN_PLACED": "always"})
    async with running(database) as system:
        await stocked(system)
        assert (await system.bus.clients["orders"].post("/orders", json=order(("P", 1)))).status_code == 202
        await system.bus.quiet()
        assert [kind for kind, _ in sent(system)] == ["confirmation"]
