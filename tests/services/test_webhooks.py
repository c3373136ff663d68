"""Webhooks reach their endpoints at least once, signed, whatever the receivers do, and show no personal data."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from services.contracts import orders
from services.contracts.users import ClientExpired, ClientRevoked, StaffRoleChanged, UserDeleted, UserSuspended
from services.kit.eventstore.connections import Connections
from services.kit.eventstore.postgres import PostgresEventStore
from services.notifications.endpoint_mails import contacts_in
from services.webhooks import deliveries, dispatcher
from tests.node_tools import CLIENTS, installed, run
from tests.services.receivers import Receiver, Webhooks, receiving, webhooks_of
from tests.services.shop import placed
from tests.tokens import authorization
from tests.waiting import SECONDS_MAX, until
from tools.knative_local.ports import free_port

CONFIRMED = orders.OrderConfirmed.type
VERIFIER = """
import { Webhook } from "standardwebhooks"
import { readFileSync } from "node:fs"
const { secret, body, headers } = JSON.parse(readFileSync(0, "utf8"))
try { console.log(new Webhook(secret).verify(body, headers).subject) } catch (error) { console.log(error.name) }
"""


def verified(receiver: Receiver, secret: str, number: int = -1) -> object:
    """What the published library reads in a request; WebhookVerificationError if the signature is wrong."""
    headers, body = receiver.requests[number]
    return Webhook(secret).verify(body, headers)


@pytest.fixture
async def world(database):
    async with webhooks_of(database) as world:
        yield world


@pytest.fixture
async def receiver():
    async with receiving() as receiver:
        yield receiver


async def test_an_endpoint_receives_what_it_asked_for_signed(world: Webhooks, receiver: Receiver):
    await world.confirm("ord_before")
    made = await world.register(receiver.url, "zerocart.orders.*")
    await world.append("users", "user-usr_1", UserSuspended(user_id="usr_1", reason="fraud"))
    await world.append("orders", "order-ord_1", placed("ord_1", name="Ann Secret"))
    await world.nudge(CONFIRMED)
    await world.confirm("ord_2")
    assert receiver.subjects == ["ord_1", "ord_2"]
    event = verified(receiver, made["secret"])
    assert isinstance(event, dict)
    assert event["type"] == CONFIRMED and event["timestamp"] == event["time"]
    assert event["data"]["total"] == {"amount": "1.00", "currency": "GBP"}
    assert b"Secret" not in receiver.requests[0][1]
    with pytest.raises(WebhookVerificationError):
        verified(receiver, "whsec_" + "A" * 43 + "=")
    shown = await world.deliveries(made["id"])
    assert [(each["state"], each["status"], each["attempts"]) for each in shown] == [("delivered", 204, 1)] * 2


@pytest.mark.parametrize(
    ("owner", "event"),
    [
        ("cli_1", ClientRevoked(client_id="cli_1")),
        ("cli_1", ClientExpired(client_id="cli_1")),
        ("usr_1", UserSuspended(user_id="usr_1", reason="left")),
        ("usr_1", UserDeleted(user_id="usr_1")),
        ("usr_1", StaffRoleChanged(user_id="usr_1")),
    ],
)
async def test_an_endpoint_whose_owner_lost_the_access_gets_nothing_more(
    world: Webhooks, receiver: Receiver, owner, event
):
    world.client.headers.update(authorization(owner))
    made = await world.register(receiver.url)
    world.client.headers.update(authorization("cli_2"))
    async with receiving() as other:
        await world.register(other.url)
        receiver.status = 500
        await world.confirm("ord_1")
        before = len(receiver.requests)
        receiver.status = 200
        await world.append("users", f"x-{owner}", event)
        await world.confirm("ord_2")  # the nudge of the event itself may be lost
        await world.later(days=1)
        assert len(receiver.requests) == before
        assert {"ord_1", "ord_2"} <= set(other.subjects)
        shown = await world.get(f"/webhooks/{made['id']}")
        assert (shown["active"], shown["pending"]) == (False, 0)
        assert "has no access any more" in shown["disabled_reason"]
        await world.client.patch(f"/webhooks/{made['id']}", json={"active": True})
        await world.confirm("ord_3")
        assert len(receiver.requests) == before  # nobody has given it scopes again


async def test_an_endpoint_of_staff_with_another_role_goes_on(world: Webhooks, receiver: Receiver):
    world.client.headers.update(authorization("usr_1"))
    await world.register(receiver.url, "zerocart.orders.*")
    await world.append("users", "user-usr_1", StaffRoleChanged(user_id="usr_1", role="manager"))
    await world.confirm("ord_1")
    assert receiver.subjects == ["ord_1"]


async def test_a_repeated_nudge_sends_nothing_twice(world: Webhooks, receiver: Receiver):
    await world.register(receiver.url)
    await world.confirm("ord_1")
    for _ in range(3):
        await world.nudge(CONFIRMED)
    assert receiver.subjects == ["ord_1"]


async def test_without_an_endpoint_a_nudge_appends_nothing_and_asks_for_no_timer(world: Webhooks):
    await world.confirm("ord_1", "ord_2")
    assert world.published.events == []


async def test_the_log_says_in_words_that_an_endpoint_cannot_be_reached(world: Webhooks):
    made = await world.register(f"http://127.0.0.1:{free_port()}/hook")
    await world.confirm("ord_1")
    (waiting,) = await world.deliveries(made["id"], state="pending")
    assert waiting["status"] is None
    assert waiting["error"].startswith("could not connect")


async def test_a_failed_attempt_is_repeated_after_growing_delays_with_the_same_id(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    receiver.status = 500
    await world.confirm("ord_1")
    (waiting,) = await world.deliveries(made["id"], state="pending")
    assert (waiting["attempts"], waiting["status"], waiting["error"]) == (1, 500, "the endpoint answered 500")
    await world.later(seconds=30)
    assert len(receiver.requests) == 1  # not before it is due
    await world.later(seconds=90)
    receiver.status = 200
    await world.later(minutes=6)
    assert len(set(receiver.ids)) == 1 and len(receiver.ids) == 3
    whole = await world.get(f"/webhooks/{made['id']}/deliveries/{waiting['id']}")
    assert whole["state"] == "delivered"
    assert [(each["number"], each["status"]) for each in whole["tried"]] == [(1, 500), (2, 500), (3, 200)]
    assert whole["tried"][0]["request"]["headers"]["webhook-id"] == waiting["id"]
    assert "webhook-signature" not in whole["tried"][0]["request"]["headers"]
    assert len(world.timers()) == 2


async def test_a_receiver_that_was_down_for_a_day_gets_everything(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    receiver.status = 503
    for hour in range(24):
        await world.confirm(*(f"ord_{hour}_{n}" for n in range(5)))
        await world.later(hours=1)
    before = len(receiver.requests)
    assert before < 60  # a receiver that is down gets few attempts, however much waits for it
    receiver.status = 200
    for _ in range(3):  # on a busy machine attempts of the hours before may still go on, and let the endpoint rest
        await world.later(hours=1)
    await until(lambda: len(receiver.requests) - before >= 120)
    assert {event["subject"] for event in receiver.events[before:]} == {
        f"ord_{h}_{n}" for h in range(24) for n in range(5)
    }
    assert len(receiver.requests) - before == 120
    assert (await world.get(f"/webhooks/{made['id']}"))["pending"] == 0


async def test_a_slow_receiver_holds_up_nobody_else(database, receiver: Receiver, monkeypatch):
    monkeypatch.setattr(dispatcher, "NUDGE_SECONDS_MAX", 0.2)
    async with webhooks_of(database, seconds_max=3) as world, receiving(seconds=30) as slow:
        await world.register(slow.url)
        await world.register(receiver.url)
        ids = [f"ord_{n}" for n in range(20)]
        for each in ids:
            await world.confirm(each)
        await until(lambda: len(receiver.requests) == len(ids))
        assert sorted(receiver.subjects) == sorted(ids)
        assert slow.most <= deliveries.AT_ONCE_MAX
        assert len(world.timers()) == 1  # in case that this process dies


async def test_a_receiver_that_answers_410_is_switched_off(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    receiver.status = 410
    await world.confirm("ord_1")
    shown = await world.get(f"/webhooks/{made['id']}")
    assert (shown["active"], shown["disabled_reason"]) == (False, "the endpoint answered 410")
    await world.confirm("ord_2")
    assert receiver.subjects == ["ord_1"]


async def test_the_contact_of_an_endpoint_is_read_where_mails_are_sent_and_is_in_no_event(
    world: Webhooks, receiver: Receiver
):
    made = await world.register(receiver.url, contact=" dev@example.com ")
    path = f"/webhooks/{made['id']}"
    store = PostgresEventStore(world.database.dsn("notifications"), "notifications")
    contact_of = contacts_in(store)
    try:
        assert await contact_of(made["id"]) == (await world.get(path))["contact"] == "dev@example.com"
        await world.client.patch(path, json={"description": "the accounts"})
        await world.post(f"{path}/secret", {}, status=201)
        assert await contact_of(made["id"]) == "dev@example.com"
        await world.client.patch(path, json={"contact": "ops@example.com"})
        assert await contact_of(made["id"]) == "ops@example.com"
        await world.client.patch(path, json={"contact": None})
        assert await contact_of(made["id"]) is (await world.get(path))["contact"] is None
        refused = await world.client.patch(path, json={"contact": "nobody"})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "contact")
        await world.client.delete(path)
        assert await contact_of(made["id"]) is None
    finally:
        await store.close()
    assert not [event for event in world.published.events if "example.com" in event.data.replace(receiver.url, "")]


async def test_an_endpoint_that_fails_for_days_is_switched_off_and_can_be_switched_on(
    world: Webhooks, receiver: Receiver
):
    made = await world.register(receiver.url)
    receiver.status = 500
    await world.confirm("ord_1")
    for day in range(6):
        await world.confirm(f"ord_day_{day}")
        await world.later(days=1)
    shown = await world.get(f"/webhooks/{made['id']}")
    assert not shown["active"] and "every attempt failed since" in shown["disabled_reason"]
    assert "zerocart.webhooks.endpoint.disabled.v1" in [event.type for event in world.published.events]
    failed = await world.deliveries(made["id"], state="failed")
    assert "ord_day_4" in [each["subject"] for each in failed]
    receiver.status, receiver.requests = 200, []
    refused = await world.client.post(f"/webhooks/{made['id']}/redeliver", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint-off")
    changed = await world.client.patch(f"/webhooks/{made['id']}", json={"active": True})
    assert changed.status_code == 200, changed.text
    await world.confirm("ord_new")
    assert receiver.subjects == ["ord_new"]
    again = await world.post(f"/webhooks/{made['id']}/redeliver", {"state": "failed"})
    assert again == {"deliveries": len(failed)}
    await until(lambda: len(receiver.requests) == 1 + len(failed))


async def test_an_endpoint_that_is_switched_off_by_hand_says_so_and_so_do_its_deliveries(
    world: Webhooks, receiver: Receiver
):
    made = await world.register(receiver.url)
    receiver.status = 500
    await world.confirm("ord_1")
    await world.client.patch(f"/webhooks/{made['id']}", json={"active": False})
    assert (await world.get(f"/webhooks/{made['id']}"))["disabled_reason"] == "it was switched off by hand"
    (ended,) = await world.deliveries(made["id"], state="failed")
    assert (ended["error"], ended["status"]) == ("the endpoint was switched off: it was switched off by hand", 500)
    receiver.status = 200
    await world.client.patch(f"/webhooks/{made['id']}", json={"active": True})
    assert (await world.get(f"/webhooks/{made['id']}"))["disabled_reason"] is None
    assert await world.post(f"/webhooks/{made['id']}/redeliver") == {"deliveries": 1}
    await until(lambda: len(receiver.requests) == 2)


async def resting(world: Webhooks, receiver: Receiver, waiting: int = 3) -> dict[str, Any]:
    """An endpoint that rests after failures; these many deliveries wait."""
    made = await world.register(receiver.url)
    receiver.status = 500
    for number in range(waiting):
        await world.confirm(f"ord_{number}")
    await world.later(minutes=2)  # all are due, but the endpoint rests
    shown = await world.get(f"/webhooks/{made['id']}")
    assert (shown["failures"], shown["pending"]) == (3, waiting)
    assert datetime.fromisoformat(shown["rests_until"]) > world.now
    for each in await world.deliveries(made["id"]):
        next_at = datetime.fromisoformat(each["next_attempt_at"])
        assert next_at >= datetime.fromisoformat(shown["rests_until"])
        assert (next_at.second, next_at.microsecond) == (0, 0), "the clock comes at full minutes"
    receiver.status, receiver.requests = 200, []
    return made


async def test_a_test_event_ends_a_rest_and_comes_before_what_waits(world: Webhooks, receiver: Receiver):
    made = await resting(world, receiver)
    await world.post(f"/webhooks/{made['id']}/test")
    await until(lambda: len(receiver.requests) == 4)
    assert receiver.subjects[0] == made["id"]
    assert (await world.get(f"/webhooks/{made['id']}"))["rests_until"] is None


async def test_a_test_event_that_fails_lets_the_endpoint_rest_again(world: Webhooks, receiver: Receiver):
    made = await resting(world, receiver)
    receiver.status = 500
    await world.post(f"/webhooks/{made['id']}/test")
    await until(lambda: len(receiver.requests) == 1)
    async with asyncio.timeout(SECONDS_MAX):
        while (await world.get(f"/webhooks/{made['id']}"))["rests_until"] is None:
            await asyncio.sleep(0.02)
    assert receiver.subjects == [made["id"]]


async def test_switching_on_ends_a_rest_and_sends_what_waits(world: Webhooks, receiver: Receiver):
    made = await resting(world, receiver)
    await world.client.patch(f"/webhooks/{made['id']}", json={"active": True})
    await until(lambda: len(receiver.requests) == 3)


async def test_what_waits_can_be_redelivered_at_once(world: Webhooks, receiver: Receiver):
    made = await resting(world, receiver)
    assert await world.post(f"/webhooks/{made['id']}/redeliver") == {"deliveries": 0}
    assert await world.post(f"/webhooks/{made['id']}/redeliver", {"state": "pending"}) == {"deliveries": 3}
    await until(lambda: len(receiver.requests) == 3)


async def test_one_event_that_is_always_refused_stops_after_its_attempts(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    receiver.status = 400
    await world.confirm("ord_bad")
    for _ in range(9):
        receiver.status = 200
        await world.confirm(f"ord_{len(receiver.requests)}")
        receiver.status = 400
        await world.later(hours=25)
    (failed,) = await world.deliveries(made["id"], state="failed")
    assert (failed["subject"], failed["attempts"]) == ("ord_bad", len(deliveries.DELAYS) + 1)
    assert (await world.get(f"/webhooks/{made['id']}"))["active"]


async def test_retry_after_is_respected(world: Webhooks, receiver: Receiver):
    await world.register(receiver.url)
    receiver.status, receiver.headers = 429, {"Retry-After": "3600"}
    await world.confirm("ord_1")
    await world.later(minutes=30)
    assert len(receiver.requests) == 1
    await world.later(minutes=31)
    assert len(receiver.requests) == 2


async def test_redirects_are_not_followed(world: Webhooks, receiver: Receiver):
    async with receiving() as inside:
        made = await world.register(receiver.url)
        receiver.status, receiver.headers = 307, {"Location": inside.url}
        await world.confirm("ord_1")
        assert not inside.requests
        (waiting,) = await world.deliveries(made["id"])
        assert (waiting["state"], waiting["error"]) == ("pending", "redirects are not followed")


async def test_a_huge_answer_is_cut(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    receiver.status, receiver.body = 200, b"x" * 5_000_000
    await world.confirm("ord_1")
    (sent,) = await world.deliveries(made["id"])
    whole = await world.get(f"/webhooks/{made['id']}/deliveries/{sent['id']}")
    assert whole["tried"][0]["answer"] == "x" * 1_000


async def test_after_a_rotation_both_secrets_are_valid_for_a_while(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    rotated = await world.post(f"/webhooks/{made['id']}/secret", {"overlap_hours": 1}, status=201)
    assert rotated["secret"] != made["secret"]
    await world.confirm("ord_1")
    assert verified(receiver, made["secret"]) == verified(receiver, rotated["secret"])
    world.ahead += timedelta(hours=2)
    await world.confirm("ord_2")
    signatures = receiver.requests[-1][0]["webhook-signature"].split(" ")
    assert len(signatures) == 1


async def test_a_secret_is_shown_once_and_again_only_for_a_repeated_request(world: Webhooks, receiver: Receiver):
    body, key = {"url": receiver.url, "types": ["*"]}, {"Idempotency-Key": "one"}
    first = await world.client.post("/webhooks", json=body, headers=key)
    again = await world.client.post("/webhooks", json=body, headers=key)
    assert again.json() == first.json() and again.headers["idempotent-replayed"] == "true"
    assert "secret" not in (await world.get(f"/webhooks/{first.json()['id']}"))
    assert len((await world.get("/webhooks"))["endpoints"]) == 1
    connections = Connections(world.database.dsn("webhooks"), "webhooks", 1)
    stored = await connections.fetch("SELECT coalesce(string_agg(answer, ''), '') AS answers FROM inbox")
    await connections.close()
    assert first.json()["secret"] not in stored[0]["answers"]


async def test_a_test_event_reaches_this_endpoint_alone(world: Webhooks, receiver: Receiver):
    async with receiving() as other:
        made = await world.register(receiver.url, CONFIRMED)
        await world.register(other.url)
        await world.post(f"/webhooks/{made['id']}/test")
        await until(lambda: bool(receiver.requests))
        assert receiver.events[0]["type"] == "zerocart.webhooks.endpoint.tested.v1"
        await world.confirm("ord_1")
        assert other.subjects == ["ord_1"]


async def test_one_message_is_redelivered_with_its_id(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    await world.confirm("ord_1")
    path = f"/webhooks/{made['id']}/deliveries/{receiver.ids[0]}"
    await world.post(f"{path}/redeliver")
    await until(lambda: len(receiver.requests) == 2)
    assert receiver.ids[0] == receiver.ids[1]
    async with asyncio.timeout(SECONDS_MAX):
        while (whole := await world.get(path))["state"] == "pending":
            await asyncio.sleep(0.02)
    assert whole["attempts"] == 2
    assert [each["number"] for each in whole["tried"]] == [1, 2]
    missing = await world.client.post(f"/webhooks/{made['id']}/deliveries/msg_x/redeliver")
    assert missing.status_code == 404


async def test_a_crash_between_the_answer_and_its_record_repeats_the_message(database, receiver: Receiver, monkeypatch):
    async with webhooks_of(database) as world:
        made = await world.register(receiver.url)

        async def crash(*_: object) -> None:
            raise asyncio.CancelledError

        monkeypatch.setattr(deliveries.Deliveries, "record", crash)
        with pytest.raises(asyncio.CancelledError):
            await world.confirm("ord_1")
        monkeypatch.undo()
    async with webhooks_of(database) as world:
        await world.later(minutes=2)
        assert receiver.subjects == ["ord_1", "ord_1"]
        assert len(set(receiver.ids)) == 1
        (sent,) = await world.deliveries(made["id"])
        assert (sent["state"], sent["attempts"]) == ("delivered", 2)


async def test_two_processes_send_each_message_once(database, receiver: Receiver):
    async with webhooks_of(database) as one, webhooks_of(database) as two:
        await one.register(receiver.url)
        for number in range(10):
            await one.append("orders", f"order-ord_{number}", placed(f"ord_{number}"))
        await asyncio.gather(*(each.nudge(CONFIRMED) for each in (one, two) for _ in range(5)))
        await until(lambda: len(receiver.requests) >= 10)
        assert sorted(receiver.subjects) == sorted(f"ord_{n}" for n in range(10))


async def test_deliveries_are_listed_page_by_page(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    await world.confirm(*(f"ord_{n}" for n in range(5)))
    found, before = [], None
    while True:
        page = await world.get(f"/webhooks/{made['id']}/deliveries", limit=2, **({"before": before} if before else {}))
        found += [each["subject"] for each in page["deliveries"]]
        if (before := page["next"]) is None:
            break
    assert found == [f"ord_{n}" for n in reversed(range(5))]


async def test_a_removed_endpoint_receives_nothing_and_is_gone(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url)
    assert (await world.client.delete(f"/webhooks/{made['id']}")).status_code == 204
    assert (await world.client.delete(f"/webhooks/{made['id']}")).status_code == 404
    await world.confirm("ord_1")
    assert not receiver.requests
    for path in ("", "/deliveries"):
        assert (await world.client.get(f"/webhooks/{made['id']}{path}")).status_code == 404


async def test_an_endpoint_receives_no_more_than_its_owner_may_see(world: Webhooks, receiver: Receiver):
    scopes = "webhooks:read webhooks:write orders:read orders:admin"
    body = {"url": receiver.url, "types": ["*"]}
    made = await world.client.post("/webhooks", json=body, headers=authorization("shop", scopes))
    assert made.status_code == 201
    await world.append("users", "user-usr_1", UserSuspended(user_id="usr_1", reason="fraud"))
    await world.confirm("ord_1")
    assert receiver.subjects == ["ord_1"]
    refused = await world.client.post(
        "/webhooks", json={**body, "types": ["zerocart.users.*"]}, headers=authorization("shop", scopes)
    )
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (403, "types.0")


async def test_nobody_switches_on_or_moves_an_endpoint_that_sees_more_than_they_do(world: Webhooks, receiver: Receiver):
    made = await world.register(receiver.url, "*")
    shop = authorization("shop", "webhooks:read webhooks:write orders:read orders:admin")

    async def changed(**fields: object) -> tuple[int, str]:
        answer = await world.client.patch(f"/webhooks/{made['id']}", json=fields, headers=shop)
        return answer.status_code, answer.json().get("code", "")

    assert await changed(active=False, description="off") == (200, "")
    assert await changed(active=True) == (403, "insufficient-scope")
    assert await changed(url=f"{receiver.url}elsewhere") == (403, "insufficient-scope")
    assert await changed(active=True, types=["zerocart.orders.*"]) == (200, "")
    assert await changed(active=True) == (200, "")


async def test_a_program_without_the_admin_scope_reaches_its_own_endpoints_only(world: Webhooks, receiver: Receiver):
    scopes = "webhooks:read webhooks:write catalogue:write"
    ours, theirs = authorization("ours", scopes), authorization("theirs", scopes)
    body = {"url": receiver.url, "types": ["zerocart.catalogue.*"]}
    made = (await world.client.post("/webhooks", json=body, headers=ours)).json()
    assert (await world.client.get("/webhooks", headers=theirs)).json() == {"endpoints": []}
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        answer = await world.client.request(
            method, f"/webhooks/{made['id']}{path}", headers=theirs, json={} if method == "PATCH" else None
        )
        assert answer.status_code == 404, (method, path, answer.text)
    assert len((await world.get("/webhooks"))["endpoints"]) == 1


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"url": "ftp://example.com"}, "url"),
        ({"url": "https://ann:pw@example.com"}, "url"),
        ({"url": "https://example.com/#x"}, "url"),
        ({"url": "not a url"}, "url"),
        ({"url": "https://[::1"}, "url"),
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"types": []}, "types"),
        ({"types": ["zerocart.nothing.v1"]}, "types.0"),
        ({"types": ["zerocart.orders*"]}, "types.0"),
        ({"active": "yes"}, "active"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
async def test_a_wrong_field_is_refused_by_name(world: Webhooks, wrong, field):
    body = {"url": "https://example.com/hook", "types": ["*"], **wrong}
    answer = await world.client.post("/webhooks", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == field


async def test_an_unknown_event_is_refused_and_not_repeated(world: Webhooks):
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "x", "ce-subject": "x",
               "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json"}  # fmt: skip
    answer = await world.client.post("/events", content=json.dumps({}).encode(), headers=headers)
    assert (answer.status_code, answer.text) == (400, "unknown-type: this service does not handle x")


async def test_an_event_whose_delivery_was_given_up_is_found(world: Webhooks, receiver: Receiver):
    await world.register(receiver.url)
    await world.append("orders", "order-ord_1", placed("ord_1"))
    assert world.service.missed is not None
    later = datetime.now(UTC) + timedelta(minutes=2)
    assert await world.service.missed.check(later, 0) == 1
    assert receiver.subjects == ["ord_1"]
    assert await world.service.missed.check(later, 0) == 0


async def test_the_published_library_for_javascript_verifies_a_message(
    world: Webhooks, receiver: Receiver, tmp_path: Path
):
    made = await world.register(receiver.url)
    await world.confirm("ord_1")
    headers, body = receiver.requests[0]
    (tmp_path / "node_modules").symlink_to(installed(*CLIENTS))
    program = tmp_path / "verify.mjs"
    program.write_text(VERIFIER)

    def verdict(secret: str) -> str:
        told = json.dumps({"secret": secret, "body": body.decode(), "headers": headers})
        return run(program, input=told).stdout.strip()

    assert verdict(made["secret"]) == "ord_1"
    assert verdict("whsec_" + "A" * 43 + "=") in ("WebhookVerificationError", "Error")
