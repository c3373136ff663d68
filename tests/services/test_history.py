"""`GET /orders/{id}?at=` shows the order as it was then, and nothing of the future, of others, or of erased persons."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx
import pytest

from services.databases import WRITERS
from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.domain.principal import Principal
from services.kit.eventstore.connections import SETTINGS, statement
from services.kit.eventstore.port import Append, Appended, NewEvent, Position
from services.kit.privacy.vault import PostgresVault
from services.kit.wire.cloudevents import source_of
from services.projection.history import READS, STREAMS
from tests.services.lives import Said, brought, cancelled, failed, gone, smooth, stocked, woven
from tests.services.read_side import AT, VAULT_KEY, ReadSide, created, imported, running
from tests.tokens import authorization, customer

CUSTOMER = Principal("app_user", "cus_1")
CREATED = "zerocart.orders.order.created.v1"


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def say(side: ReadSide, said: Sequence[Said]) -> list[Any]:
    return [
        (await side.append(each.service, each.stream, each.message, principal=each.principal or CUSTOMER))[0]
        for each in said
    ]


def instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def asked(side: ReadSide, order_id: str, at: datetime | str, **more: Any) -> httpx.Response:
    text = at if isinstance(at, str) else instant(at)
    headers = more.pop("headers", {})
    return await side.projection.get(f"/orders/{order_id}", params={"at": text, **more}, headers=headers)


async def then(side: ReadSide, order_id: str, at: datetime) -> dict[str, Any]:
    answer = await asked(side, order_id, at)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_each_past_time_shows_the_order_as_it_was_then(side: ReadSide) -> None:
    lives = [smooth("ord_1"), failed("ord_2"), cancelled("ord_3", customer_id=None), brought("ord_4")]
    orders = ("ord_1", "ord_2", "ord_3", "ord_4")
    answers: list[tuple[datetime, str, dict[str, Any] | None]] = []
    for each in [stocked(), *woven(lives, range(40))]:
        (event,) = await say(side, [each])
        await side.show_all(event)
        for order_id in orders:
            answer = await side.query.get(f"/orders/{order_id}")
            answers.append((event.time, order_id, answer.json() if answer.status_code == 200 else None))
    assert len({str(answer) for _, _, answer in answers}) > 30
    for at, order_id, expected in answers:
        for moment in (at, at + timedelta(microseconds=999_999)):
            answer = await asked(side, order_id, moment)
            if expected is None:
                assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found")
            else:
                assert answer.json() == expected, (order_id, moment)


async def test_an_instant_may_have_any_zone(side: ReadSide) -> None:
    (event,) = await say(side, [Said("orders", "order-ord_1", created("ord_1"))])
    local = event.time.astimezone().isoformat()
    assert (await asked(side, "ord_1", event.time.isoformat().replace("+00:00", "-00:00"))).status_code == 200
    assert (await asked(side, "ord_1", local)).status_code == 200
    assert (await asked(side, "ord_1", "2026-03-01T14:00:00+02:00")).status_code == 404


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("at=soon", "at"),
        ("at=", "at"),
        ("at=2026-03-01", "at"),
        ("at=1772366400", "at"),
        ("at=2026-03-01T12:00:00", "at"),
        ("at=2026-02-30T12:00:00Z", "at"),
        ("at=9999-12-31T23:59:59-10:00", "at"),
        ("at=0001-01-01T00:00:00%2B14:00", "at"),
        ("at=2999-01-01T00:00:00Z", "at"),
        ("", "at"),
        ("at=2026-03-01T12:00:00Z&colour=red", "colour"),
        ("at=2026-03-01T12:00:00Z&position=12", "position"),
    ],
)
async def test_a_bad_instant_is_refused_by_name(side: ReadSide, query: str, name: str) -> None:
    answer = await side.projection.get(f"/orders/ord_1?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert name in str(answer.json()["errors"])


async def test_a_future_time_is_refused(side: ReadSide) -> None:
    assert (await asked(side, "ord_1", datetime.now(UTC) + timedelta(seconds=30))).status_code == 422
    assert (await asked(side, "ord_1", datetime.now(UTC))).status_code == 404


async def test_an_invalid_order_id_is_refused(side: ReadSide) -> None:
    for order_id in ("%01", "x" * 65, "a%0Ab"):
        assert (await side.projection.get(f"/orders/{order_id}?at=2026-03-01T12:00:00Z")).status_code == 422


async def test_a_customer_sees_the_past_of_own_orders_only(side: ReadSide) -> None:
    said = await say(side, smooth("ord_1"))
    at = said[-1].time
    assert (await asked(side, "ord_1", at, headers={"Authorization": ""})).status_code == 401
    assert (await asked(side, "ord_1", at, headers=authorization(scope="stock:read"))).status_code == 403
    assert (await asked(side, "ord_1", at, headers=customer("cus_2"))).status_code == 404
    own = (await asked(side, "ord_1", at, headers=customer("cus_1"))).json()
    everything = await then(side, "ord_1", at)
    assert {moment["by"] for moment in everything["timeline"]} == {"cus_1", "ann", None}
    assert {moment["by"] for moment in own["timeline"]} == {None}
    assert [moment["text"] for moment in own["timeline"]] == [moment["text"] for moment in everything["timeline"]]


async def test_query_and_projection_hide_ids_of_staff_alike(side: ReadSide) -> None:
    await side.show_all((await say(side, smooth("ord_1")))[-1])
    own = (await side.query.get("/orders/ord_1", headers=customer("cus_1"))).json()
    assert {moment["by"] for moment in own["timeline"]} == {None}
    assert {moment["who"] for moment in own["timeline"]} >= {"customer", "operator", "carrier", "payment provider"}
    every = await side.get("/orders/ord_1")
    assert {moment["by"] for moment in every["timeline"]} == {"cus_1", "ann", None}


async def test_a_former_owner_of_a_draft_cannot_read_its_past(side: ReadSide) -> None:
    said = await say(side, [smooth("ord_1", "cus_1")[0], smooth("ord_1", "cus_2")[1]])
    for who in ("cus_1", "cus_2"):
        assert (await asked(side, "ord_1", said[0].time, headers=customer(who))).status_code == 404
    assert (await asked(side, "ord_1", said[1].time, headers=customer("cus_2"))).status_code == 200


async def erase(side: ReadSide, person: str, said: Said | None = None) -> None:
    """Erase a person as users does: destroy the key in the transaction that appends the event."""
    if said:
        await side.show_all((await say(side, [said]))[-1])
    log = side.logs.get("users") or side.logs["orders"]
    async with log.transaction() as transaction:
        await PostgresVault(log.connections, VAULT_KEY).erase(person, transaction)


async def test_an_erasure_removes_a_person_from_the_past_at_once(side: ReadSide) -> None:
    said = await say(side, smooth("ord_1"))
    await side.show_all(said[-1])
    before = await then(side, "ord_1", said[5].time)  # and its key is known to this process now
    assert (before["city"], before["customer_name"], before["email"]) == ("Leeds", "Ann", "ann@example.com")
    await erase(side, "cus_1", gone("cus_1"))
    after = await then(side, "ord_1", said[5].time)
    assert (after["city"], after["customer_name"], after["email"]) == ("[erased]", None, None)
    personal = dict.fromkeys(("city", "customer_name", "email", "shipping_address"))
    assert after["shipping_address"] is None
    assert {**after, **personal} == {**before, **personal}
    assert await then(side, "ord_1", datetime.now(UTC)) == await side.get("/orders/ord_1")


async def test_an_event_that_arrives_after_an_erasure_shows_no_personal_data(side: ReadSide) -> None:
    """Orders may cache a destroyed key for a while. If the projection did, it would show the data for ever."""
    await side.show(await side.order("ord_1", created("ord_1")))
    log = side.logs["orders"]
    knowing = PostgresVault(log.connections, VAULT_KEY)
    late = await stamped([imported("ord_2", "cus_1")], Cause(AT), source_of("orders"), knowing)
    await erase(side, "cus_1", gone("cus_1"))
    assert isinstance(await log.append(Append("order-ord_2", 0, late)), Appended)
    await side.show(await log.read("order-ord_2"))
    for order_id in ("ord_1", "ord_2"):
        order = await side.get(f"/orders/{order_id}")
        assert (order["city"], order["customer_name"], order["email"]) == ("[erased]", None, None), order_id
    (customer,) = await rows_of(side, "SELECT customer_name, email, orders FROM customers_1.customers")
    assert customer == (None, None, 2)


async def rows_of(side: ReadSide, sql: str) -> list[tuple[Any, ...]]:
    connection = await asyncpg.connect(side.database.read_owner_dsn)
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def test_a_request_about_the_past_waits_for_its_position(side: ReadSide, database) -> None:
    older = await asyncpg.connect(database.owner_dsn)
    transaction = older.transaction()
    await transaction.start()
    await older.execute("SELECT pg_advisory_xact_lock_shared(~last_value) FROM log.position")
    (event,) = await side.order("ord_1", created("ord_1"))  # not final while an older append runs
    waiting = asyncio.create_task(asked(side, "ord_1", event.time, position=str(event.position)))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await transaction.commit()
    await older.close()
    assert (await waiting).status_code == 200


async def test_a_position_that_is_not_reached_in_time_gets_503(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    ahead = Position(event.position + 1_000_000)
    answer = await asked(side, "ord_1", event.time, position=str(ahead))
    assert (answer.status_code, answer.json()["code"]) == (503, "read-side-behind")
    assert answer.headers["retry-after"] == "1"


async def test_an_unreadable_event_gets_503_unless_it_is_skipped(side: ReadSide) -> None:
    (event,) = await side.order("ord_1", created("ord_1"))
    odd = NewEvent(CREATED, AT + timedelta(seconds=9), '{"odd": "secret"}', '{"partitionkey": "ord_1"}')
    await side.logs["orders"].append(Append("order-ord_1", 1, [odd]))
    answer = await asked(side, "ord_1", event.time)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "event-unreadable", "60")
    assert "secret" not in answer.text
    await side.show([event])
    for view in ("orders", "timeline"):
        (version,) = (await side.projection.get(f"/projection/views/{view}")).json()["versions"][-1:]
        skip = {"position": version["stopped_at"], "reason": "written by hand"}
        assert (await side.projection.post(f"/projection/views/{view}/skip", json=skip)).status_code == 200
    assert (await asked(side, "ord_1", event.time)).status_code == 200


async def test_the_past_of_an_order_is_read_by_index(side: ReadSide, database) -> None:
    await say(side, [*smooth("ord_1"), *failed("ord_2")])
    owner = await asyncpg.connect(database.owner_dsn)
    fill = """
        INSERT INTO log.events (service, stream, version, type, time, data, meta)
        SELECT s, s || '-' || n, 1, 'x', now(), '{}', '{}' FROM generate_series(1, 3000) n, unnest($1::text[]) s
    """
    await owner.execute(fill, list(WRITERS))
    await owner.execute("ANALYZE")
    await owner.close()
    reader = await asyncpg.connect(database.dsn("projection"), server_settings={**SETTINGS, "search_path": "log"})
    await reader.execute(f"PREPARE past(text[]) AS {statement('read_streams').rstrip().removesuffix(';')}")
    names = [stream.format("ord_1") for stream in STREAMS]
    rows = await reader.fetch("EXPLAIN (ANALYZE) EXECUTE past($1)".replace("$1", f"ARRAY{names}::text[]"))
    plan = "\n".join(row[0] for row in rows)
    await reader.close()
    assert "events_pkey" in plan, plan
    for slow in ("Seq Scan", "position_idx", "Filter"):
        assert slow not in plan, plan


def test_every_stream_with_events_of_an_order_is_read() -> None:
    """The deciders declare the event types of their streams."""
    from services.fulfillment.saga import FULFILLMENT
    from services.inventory.domain import RESERVATION
    from services.notifications.domain import ORDER_MAIL, OrderMailKind, order_mail_id
    from services.orders.domain import ORDER
    from services.payments.domain import PAYMENT
    from services.shipping.domain import SHIPMENT

    plain = (ORDER, FULFILLMENT, RESERVATION, PAYMENT, SHIPMENT)
    names = {decider.stream("ID") for decider in plain}
    names |= {ORDER_MAIL.stream(order_mail_id(kind, "ID")) for kind in OrderMailKind.__args__}
    assert names == {stream.format("ID") for stream in STREAMS}
    held = {model.type for decider in (*plain, ORDER_MAIL) for model in decider.events}
    not_of_one_order = {"zerocart.users.user.deleted.v1", "zerocart.users.person.erased.v1"}
    assert set(READS) - held == not_of_one_order
