"""After an erasure no table, topic, mail or log contains the data of the person."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer

from tests.e2e.local import Local
from tests.e2e.test_users import PASSWORD, activate, login

pytestmark = pytest.mark.e2e

PERSON: dict[str, Any] = {
    "email": "zebedee.quince@example.com",
    "name": "Zebedee Quince",
    "company": "Quincunx Ltd",
    "role": "ropewalker",
    "phone": "+44 7700 900123",
    "password": PASSWORD,
    "newsletter": True,
}
HOME = {
    "name": "Z. Quince",
    "line1": "77 Ropewalk Yard",
    "city": "Ormskirkby",
    "postal_code": "QX9 7ZZ",
    "country": "GB",
}
GUEST = {"name": "Wilhelmina Yarrow", "line1": "8 Thistledown Mews", "city": "Grimblethorpe", "country": "GB"}
SECRETS = ("zebedee", "quince", "quincunx", "ropewal", "7700 900123", "ormskirkby", "qx9 7zz", "behind the mangle")
GUEST_SECRETS = ("wilhelmina", "yarrow", "thistledown", "grimblethorpe")
TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""


def an_order(address: dict[str, str], token: str = "tok_approve", **more: Any) -> dict[str, Any]:
    return {
        "items": [{"product_id": "ROPE", "quantity": 2}],
        "currency": "GBP",
        "shipping_address": address,
        "payment_method": {"kind": "card", "token": token},
        **more,
    }


@pytest.fixture
def local(local_with_accounts: Local) -> Local:
    return local_with_accounts


async def in_tables(dsn: str, words: tuple[str, ...]) -> set[str]:
    """The tables that contain one of the words, as text or in bytes."""
    connection = await asyncpg.connect(dsn)
    try:
        names = [row["name"] for row in await connection.fetch(TABLES)]
        assert len(names) > 5
        found = set()
        for name in names:
            for row in await connection.fetch(f"SELECT * FROM {name}"):
                values = [value.decode(errors="replace") if isinstance(value, bytes) else str(value) for value in row]
                if contains("\n".join(values), words):
                    found.add(name)
        return found
    finally:
        await connection.close()


async def in_topic(servers: str, topic: str, words: tuple[str, ...]) -> tuple[int, list[str]]:
    """The number of records on the topic, and the records that contain one of the words."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = sorted(consumer.assignment())
        ends = await consumer.end_offsets(partitions)
        total, found = 0, []
        while any([await consumer.position(partition) < ends[partition] for partition in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    total += 1
                    if contains(f"{record.key!r} {record.value!r} {record.headers!r}", words):
                        found.append(str(dict(record.headers).get("ce_type")))
        return total, found
    finally:
        await consumer.stop()


def in_files(home: Path, words: tuple[str, ...]) -> list[str]:
    """The files of the local cluster that contain one of the words, except those of Postgres and Kafka."""
    files = [file for file in home.rglob("*") if file.is_file() and not {"postgres", "kafka"} & set(file.parts)]
    assert any(file.suffix == ".log" for file in files)
    return [str(file.relative_to(home)) for file in files if contains(file.read_text(errors="replace"), words)]


def contains(text: str, words: tuple[str, ...]) -> bool:
    lower = text.lower()
    return any(word in lower for word in words)


def tables(local: Local, words: tuple[str, ...]) -> set[str]:
    running = local.running
    return asyncio.run(in_tables(running.owner_dsn, words)) | asyncio.run(in_tables(running.read_owner_dsn, words))


def sell_rope(local: Local) -> None:
    """Return when orders knows the price of rope, which a customer may not name."""
    price = {"currency": "GBP", "amount": "2.50"}
    wanted = {"items": [{"product_id": "ROPE", "quantity": 1}]}
    with local.client() as client:
        client.put("/products/ROPE", json={"name": "rope", "prices": [price]}).raise_for_status()
        local.until(lambda: client.post("/quotes", json=wanted).is_success)


def person_with_orders(local: Local) -> tuple[str, dict[str, str], list[str]]:
    with local.stranger() as client:
        user_id = client.post("/users", json=PERSON).raise_for_status().json()["id"]
    activate(local, user_id)
    token = login(local, PERSON["email"])
    more = {"customer_id": user_id, "email": PERSON["email"], "customer_name": PERSON["name"]}
    with local.stranger() as client:
        ids = [
            client.post("/orders", json=body, headers=token).raise_for_status().json()["order_id"]
            for body in (
                an_order(HOME, notes="behind the mangle", **more),
                an_order(HOME, token="tok_decline", **more),
            )
        ]
    return user_id, token, ids


def test_an_erased_person_is_found_nowhere_and_the_totals_still_agree(local: Local) -> None:
    local.stock("ROPE", 100)
    sell_rope(local)
    user_id, token, (kept, declined) = person_with_orders(local)
    guest = local.place(an_order(GUEST, email="w.yarrow@example.org", customer_name=GUEST["name"]))
    local.until(lambda: local.state_of(kept) == local.state_of(guest) == "confirmed")
    local.until(lambda: local.state_of(declined) == "failed")
    everybody = SECRETS + GUEST_SECRETS
    # known as long as it is needed, and only there: the log and the topic hold it sealed
    assert tables(local, everybody) == {
        "orders_1.orders",
        "orders_1.order_texts",
        "orders_1.vocabulary",
        "customers_1.customers",
    }
    assert len(local.until(lambda: in_files(local.state.home, everybody))) >= 4
    with local.client() as client:
        assert client.delete(f"/persons/{user_id}").status_code == 409
        assert client.delete(f"/persons/{guest}").status_code == 204
        assert client.delete(f"/persons/{guest}").status_code == 204
    with local.stranger() as client:
        assert client.delete(f"/users/{user_id}", headers=token).status_code == 204
    local.until(lambda: not tables(local, everybody))
    local.until(lambda: local.quick_status()["processes"] == 0)
    assert tables(local, everybody) == set()
    assert in_files(local.state.home, everybody) == []
    records, found = asyncio.run(in_topic(local.running.bootstrap_servers, local.running.topic, everybody))
    assert records > 30
    assert found == []
    with local.client() as client:
        shown = client.get(f"/orders/{kept}").raise_for_status().json()
        assert (shown["total"], shown["customer_id"]) == ({"amount": "5.00", "currency": "GBP"}, user_id)
        assert (shown["email"], shown["customer_name"], shown["city"]) == (None, None, "[erased]")
        assert client.get(f"/customers/{user_id}/orders").json()["total"] == 2
    for view in ("orders", "stock", "customers", "analytics"):
        assert "the new version serves" in local.command("rebuild", view)
    assert local.status()["dead_letters"] == 0
    assert tables(local, everybody) == set()
