"""Made-up data for the console: orders in different states, a stuck run, and dead letters."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from tests.e2e.local import Local
from tools.knative_local.ports import free_port

__all__ = ["ADDRESS", "REVIEWED_ABOVE", "Shop", "opened_shop", "placed"]

REVIEWED_ABOVE = {"ZEROCART_SHOP_RULES": '{"review": {"total_above": {"GBP": "100.00"}}}'}
"""Settings of a shop that looks at large orders before it fulfills them."""

PRICE = {"amount": "4.50", "currency": "GBP"}
ADDRESS = {"name": "Ann Archer", "line1": "1 High Street", "city": "Leeds", "postal_code": "LS1 1AA", "country": "GB"}
PEOPLE = ("Ann Archer", "Bo Berg", "Cy Cole", "Di Dunn", "Ed Eaton")
UNREADABLE = "zerocart.orders.order.created.v1"
"""fulfillment refuses an event of this type without content, so it becomes a dead letter."""


@dataclass(frozen=True)
class Shop:
    """The ids of its orders."""

    confirmed: list[str]
    stuck: str
    by_hand: str
    on_hold: str
    """A rule of the shop put it on hold, because it costs more than REVIEWED_ABOVE."""
    failed: str
    endpoint: str
    delivery: str
    """A failed message to the endpoint, where no program listens."""

    @property
    def paths(self) -> tuple[str, ...]:
        """The pages of its things."""
        endpoint = f"/webhooks/{self.endpoint}"
        return (
            f"/orders/{self.confirmed[4]}",
            f"/orders/{self.stuck}",
            endpoint,
            f"{endpoint}/deliveries/{self.delivery}",
        )


def opened_shop(local: Local) -> Shop:
    """Fill an empty cluster; returns when its orders rest."""
    with local.client() as client:
        for product, name, on_hand in (("MUG", "Blue mug", 100), ("TRAY", "Tea tray", 3)):
            client.put(f"/products/{product}", json={"name": name, "prices": [PRICE]}).raise_for_status()
            level = {"product_name": name, "on_hand": on_hand, "low_below": 5}
            client.put(f"/stock/{product}", json=level).raise_for_status()
        local.until(lambda: client.post("/quotes", json={"items": [_item("MUG", 1), _item("TRAY", 1)]}).is_success)
        stuck = placed(client, "tok_refund_pending")
        by_hand = placed(client, "tok_approve", capture="by_hand")
        on_hold = placed(client, "tok_approve", items=[_item("MUG", 30)])
        failed = placed(client, "tok_decline")
        confirmed = [placed(client, "tok_approve", customer_name=name) for name in PEOPLE]
        for order_id in (stuck, *confirmed):
            local.until(lambda order_id=order_id: local.state_of(order_id) == "confirmed", 90)
        local.until(lambda: local.state_of(failed) == "failed", 90)
        _get_stuck(local, client, stuck)
        endpoint, delivery = _deaf_endpoint(local, client)
    with ThreadPoolExecutor(1) as thread:  # Playwright has an event loop in this one
        thread.submit(lambda: asyncio.run(_publish_unreadable(local, "lost", "broken"))).result()
    return Shop(confirmed, stuck, by_hand, on_hold, failed, endpoint, delivery)


def _item(product: str, quantity: int) -> dict[str, Any]:
    return {"product_id": product, "quantity": quantity}


def placed(client: httpx.Client, token: str, **more: Any) -> str:
    """Place an order; its id."""
    method = {"kind": "card", "token": token}
    body = {"email": "ann@example.com", "customer_name": "Ann Archer", "items": [_item("MUG", 2)],
            "shipping_address": ADDRESS, "payment_method": method, **more}  # fmt: skip
    return client.post("/orders", json=body).raise_for_status().json()["order_id"]


def refund_of(client: httpx.Client, order_id: str) -> dict[str, Any] | None:
    """The refund that the provider has under way, if there is one."""
    refunds = client.get(f"/payments/{order_id}").json().get("refunds", [])
    return next((refund for refund in refunds if refund["status"] == "pending" and refund["reference"]), None)


def report_refund(client: httpx.Client, order_id: str, refund: dict[str, Any], what: str) -> None:
    """Let the provider say how a refund ended."""
    body = {"what": what, "reference": refund["reference"], "amount": refund["amount"]}
    client.post(f"/payments/{order_id}/sandbox", json=body).raise_for_status()


def _get_stuck(local: Local, client: httpx.Client, order_id: str) -> None:
    client.post(f"/orders/{order_id}/cancel", json={"reason": "changed her mind"}).raise_for_status()
    report_refund(client, order_id, local.until(lambda: refund_of(client, order_id), 90), "refund_failed")
    local.until(lambda: client.get(f"/fulfillments/{order_id}").json()["status"] == "stuck", 90)


def _deaf_endpoint(local: Local, client: httpx.Client) -> tuple[str, str]:
    body = {"url": f"http://127.0.0.1:{free_port()}/zerocart", "types": ["zerocart.webhooks.*"], "description": "Books"}
    endpoint = client.post("/webhooks", json=body).raise_for_status().json()["id"]
    client.post(f"/webhooks/{endpoint}/test").raise_for_status()

    def tried() -> str | None:
        log = client.get(f"/webhooks/{endpoint}/deliveries").json()["deliveries"]
        return next((each["id"] for each in log if each["attempts"]), None)

    return endpoint, local.until(tried, 90)


async def _publish_unreadable(local: Local, *names: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=local.running.bootstrap_servers)
    await producer.start()
    try:
        for name in names:
            attributes = {
                "specversion": "1.0", "id": name, "source": "/zerocart/orders", "type": UNREADABLE, "subject": f"ord_{name}",
                "time": "2026-11-30T10:00:00Z", "partitionkey": name,
            }  # fmt: skip
            headers = [(f"ce_{key}", value.encode()) for key, value in attributes.items()]
            headers.append(("content-type", b"application/json"))
            await producer.send_and_wait(local.running.topic, b"{}", key=name.encode(), headers=headers)
    finally:
        await producer.stop()
