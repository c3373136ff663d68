"""Fulfillment as a service: it handles CloudEvents, publishes events, and shows and resumes runs over REST."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

import httpx
import pytest

from scripts.keep import example_of
from services.contracts.inventory import CheckedItem, InventoryChecked
from services.contracts.notifications import ConfirmationSend
from services.contracts.orders import OrderCancellationRequested, OrderCreated, OrderUpdated
from services.contracts.payments import PaymentVoided
from services.contracts.shipping import FulfillmentDiscarded
from services.fulfillment.app import create_app
from services.fulfillment.reactions import reactions
from services.fulfillment.saga import ORDER_SAGA
from services.fulfillment.shared_deadline import SharedDeadline
from services.kit.config.settings import Settings
from services.kit.domain.message import Message, Money
from services.kit.events.parked import MemoryFailedMessages
from services.kit.eventstore.memory import MemoryDatabase, MemoryEventStore
from services.kit.eventstore.port import RecordedEvent
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.vault import MemoryVault, Vault
from services.kit.saga.messages import StepReply
from services.kit.service.host import Host
from tests.sagas.facts import FACTS, ORDER_ID, STEPS
from tests.tokens import TRUST, authorization

TEN = Money.model_validate({"amount": "10.00", "currency": "GBP"})
CONTENT = FACTS.model_dump(mode="json", exclude={"saga_id", "facts_version", "table_version"}) | {"order_id": ORDER_ID}
CREATED = OrderCreated.model_validate(CONTENT)
COMMON = frozenset(StepReply.model_fields)


def short(type_: str) -> str:
    return type_.removeprefix("zerocart.").removesuffix(".v1")


class Published:
    """A publisher that stores the events."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []

    async def ensure_available(self) -> None: ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        self.events += events

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None: ...

    async def close(self) -> None: ...


class Fulfillment:
    """The service, with helpers to send it messages and to read what it published."""

    def __init__(self, client: httpx.AsyncClient, published: Published, vault: Vault) -> None:
        self._client = client
        self._published = published
        self._vault = vault
        self._said = 0

    def asked(self) -> list[str]:
        """The requests and endings published so far, by the short names of their types."""
        names = [short(event.type) for event in self._published.events]
        return [name for name in names if not name.startswith(("fulfillment.step", "scheduler"))]

    async def said(self, model: type[Message]) -> Message:
        """The event that was published last, which must have this type."""
        last = self._published.events[-1]
        assert last.type == model.type
        (message,) = await decrypt(self._vault, [(model, last.data)])
        return message

    async def hear(self, message: Message, service: str = "orders", version: int = 0) -> int:
        self._said += 1
        headers = {
            "ce-specversion": "1.0",
            "ce-id": f"order-{ORDER_ID}:{version}" if version else f"x-{self._said}:1",
            "ce-source": f"/zerocart/{service}",
            "ce-type": message.type,
            "ce-subject": ORDER_ID,
            "ce-time": "2026-01-01T00:00:00Z",
            "content-type": "application/json",
        }
        return (await self._client.post("/events", content=message.write(), headers=headers)).status_code

    async def answer(self, kind: type[StepReply], step: str, **more: Any) -> None:
        message = kind.model_validate({"saga_id": ORDER_ID, "step": step, **more})
        assert await self.hear(message, "others") == 204

    async def look(self) -> dict[str, Any]:
        response = await self._client.get(f"/fulfillments/{ORDER_ID}")
        assert response.status_code == 200
        return response.json()

    async def resume(self) -> httpx.Response:
        return await self._client.post(f"/fulfillments/{ORDER_ID}/resume")


@pytest.fixture
async def fulfillment() -> AsyncGenerator[Fulfillment]:
    published = Published()
    store = MemoryEventStore("fulfillment", MemoryDatabase())
    host = Host.of(
        Settings(service="fulfillment", **TRUST), store, published, MemoryFailedMessages("fulfillment"), MemoryVault()
    )
    transport = httpx.ASGITransport(app=create_app(host))
    async with httpx.AsyncClient(transport=transport, base_url="http://fulfillment", headers=authorization()) as client:
        yield Fulfillment(client, published, host.handler.vault)
    await host.close()


ITEM = CheckedItem(product_id="85123A", requested=8, available=9, is_available=True)
REPLIES: dict[str, dict[str, Any]] = {
    "reserve_inventory": {"items": [ITEM.model_dump()], "all_items_available": True, "reservation_id": "res_1"},
    "authorize_payment": {"transaction_id": "t1", "amount": TEN.model_dump()},
}
"""What some participants reply; the others reply the example of their message."""


async def succeed(service: Fulfillment, *steps: str) -> None:
    for step in steps:
        model = ORDER_SAGA.by_name[step].do.replies[0]
        fields = REPLIES.get(step) or {name: value for name, value in example_of(model).items() if name not in COMMON}
        await service.answer(model, step, **fields)


async def test_order_is_fulfilled_step_by_step(fulfillment: Fulfillment) -> None:
    assert await fulfillment.hear(CREATED, version=1) == 204
    await succeed(fulfillment, *STEPS)
    assert fulfillment.asked() == [
        "fulfillment.run.started",
        *(short(step.do.message.type) for step in ORDER_SAGA.steps),
        "fulfillment.run.completed",
    ]
    shown = await fulfillment.look()
    assert shown["status"] == "completed"
    assert [step["name"] for step in shown["steps"]] == STEPS
    assert {step["status"] for step in shown["steps"]} == {"done"}
    assert all(step["started_at"] and step["ended_at"] and step["attempts"] == 1 for step in shown["steps"])
    assert shown["steps"][1]["data"] == {"transaction_id": "t1", "amount": {"amount": "10.00", "currency": "GBP"}}
    assert shown["steps"][0]["data"] == {"reservation_id": "res_1", "all_items_available": True, "repeated": False}


async def test_a_run_that_failed_for_lack_of_stock_shows_the_undone_steps(fulfillment: Fulfillment) -> None:
    await fulfillment.hear(CREATED, version=1)
    short = {"success": False, "error_code": "insufficient-stock", "error": "not enough of 85123A (2 of 8)"}
    await fulfillment.answer(InventoryChecked, STEPS[0], items=[], all_items_available=False, **short)
    await fulfillment.answer(PaymentVoided, STEPS[1], undo=True)
    assert (await fulfillment.look())["status"] == "compensating"
    await fulfillment.answer(FulfillmentDiscarded, STEPS[2], undo=True)
    shown = await fulfillment.look()
    assert (shown["status"], shown["cause"], shown["error_code"]) == ("compensated", "failed", "insufficient-stock")
    assert [step["status"] for step in shown["steps"][:4]] == ["refused", "compensated", "compensated", "not_started"]
    assert shown["steps"][0]["error"] == short["error"]
    assert shown["steps"][1]["compensation"]["status"] == "done"
    assert shown["steps"][0]["compensation"] is None


async def test_a_cancellation_may_arrive_before_the_order(fulfillment: Fulfillment) -> None:
    await fulfillment.hear(OrderCancellationRequested(order_id=ORDER_ID, reason="too dear"), version=2)
    assert (await fulfillment.look())["status"] == "not_started"
    await fulfillment.hear(CREATED, version=1)
    shown = await fulfillment.look()
    assert (shown["status"], shown["error"]) == ("compensated", "too dear")
    assert not [name for name in fulfillment.asked() if not name.startswith("fulfillment.run.")]


async def test_the_newest_change_of_an_order_wins_in_any_order_of_arrival(fulfillment: Fulfillment) -> None:
    for version, mail in ((3, "new@example.org"), (2, "old@example.org")):
        await fulfillment.hear(OrderUpdated(order_id=ORDER_ID, email=mail), version=version)
    await fulfillment.hear(CREATED, version=1)
    await succeed(fulfillment, *STEPS[:-1])
    mail = await fulfillment.said(ConfirmationSend)
    assert isinstance(mail, ConfirmationSend)
    assert (mail.step, mail.email) == ("send_confirmation", "new@example.org")


async def test_only_a_stuck_run_can_be_resumed(fulfillment: Fulfillment, caplog: pytest.LogCaptureFixture) -> None:
    assert (await fulfillment.resume()).status_code == 404
    await fulfillment.hear(CREATED, version=1)
    assert (await fulfillment.resume()).json()["code"] == "run-not-stuck"
    await fulfillment.hear(OrderCancellationRequested(order_id=ORDER_ID, reason="no"), version=2)
    await fulfillment.answer(PaymentVoided, STEPS[1], undo=True, success=False, error_code="no", error="no")
    assert (await fulfillment.look())["status"] == "stuck"
    (logged,) = [record for record in caplog.records if record.getMessage() == "run stuck"]
    assert (logged.levelname, vars(logged)["fields"]["order_id"]) == ("ERROR", ORDER_ID)
    assert (await fulfillment.resume()).status_code == 202
    assert (await fulfillment.look())["status"] == "compensating"
    assert fulfillment.asked().count("fulfillment.payment.void") == 2


async def test_there_is_no_run_for_an_unknown_order(fulfillment: Fulfillment) -> None:
    response = await fulfillment._client.get("/fulfillments/ord_unknown")
    assert response.status_code == 404
    assert response.json()["code"] == "run-not-found"


def test_every_reply_of_a_participant_is_handled() -> None:
    host = Host.of(
        Settings(service="fulfillment", **TRUST),
        MemoryEventStore("fulfillment"),
        Published(),
        MemoryFailedMessages("fulfillment"),
        MemoryVault(),
    )
    heard = reactions(host.handler, SharedDeadline(host.handler)).types
    answers = {kind.type for kind in StepReply.__subclasses__() if kind.__module__.startswith("services.contracts")}
    assert answers <= heard
