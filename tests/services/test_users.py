"""Accounts over REST: registration, verification by mail, changes, deletion; on a real Postgres."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from services.contracts.orders import OrderCreated
from services.kit.commands.handler import CommandHandler
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.scheduler.timers import Timers
from services.users.domain import VERIFICATIONS_MAX
from tests.services.system import System, order, running
from tests.tokens import customer

ANN: dict[str, Any] = {"email": "Ann@Example.com", "name": "Ann Archer", "password": "correct horse"}
TOKEN = re.compile(r"^(usr_[0-9a-z]{26}\.)?[A-Za-z0-9_-]{43}$", re.M)


async def register(system: System, key: str = "", **more: Any) -> httpx.Response:
    return await system.users.post("/users", json=ANN | more, headers={"Idempotency-Key": key} if key else {})


async def ask(system: System, form: Any = None, **more: Any) -> httpx.Response:
    """What `POST /token` answers to somebody who shows no token."""
    async with httpx.AsyncClient(transport=system.users._transport, base_url="http://users", timeout=60) as client:
        return await client.post("/token", data=form, **more)


def mails(system: System, template: str) -> list[Any]:
    return [mail for mail in system.mails.sent if mail["Message-ID"].startswith(f"<{template}.")]


def token_in(mail: Any) -> str:
    found = TOKEN.search(mail.get_body(("plain",)).get_content())
    assert found is not None
    assert found[0] in mail.get_body(("html",)).get_content()
    return found[0]


async def active(system: System, **more: Any) -> str:
    user_id = (await register(system, **more)).json()["id"]
    await system.bus.quiet()
    token = token_in(mails(system, "verification")[-1])
    answer = await system.users.post(f"/users/{user_id}/activate", json={"token": token})
    assert answer.status_code == 200, answer.text
    await system.bus.quiet()
    return user_id


async def test_from_registration_to_an_active_account(database):
    async with running(database) as system:
        answer = await register(system, company="Archers", role="buyer", phone="+44 20 7946 0000", age=42)
        assert answer.status_code == 201, answer.text
        user = answer.json()
        assert (user["email"], user["name"], user["status"]) == (
            "Ann@Example.com",
            "Ann Archer",
            "pending_verification",
        )
        assert answer.headers["location"] == f"/v1/users/{user['id']}"
        await system.bus.quiet()
        (mail,) = mails(system, "verification")
        assert mail["To"] == "Ann@Example.com"
        token = token_in(mail)
        answer = await system.users.post(f"/users/{user['id']}/activate", json={"token": token})
        assert (answer.status_code, answer.json()["status"]) == (200, "active")
        seen = (await system.users.get(f"/users/{user['id']}")).json()
        assert seen == {
            "id": user["id"], "status": "active", "email": "Ann@Example.com", "name": "Ann Archer",
            "company": "Archers", "role": "buyer", "phone": "+44 20 7946 0000", "age": 42,
            "preferences": {"notifications": True, "newsletter": False},
        }  # fmt: skip
        await system.bus.quiet()
        assert len(mails(system, "activated")) == 1
        again = await system.users.post(f"/users/{user['id']}/activate", json={"token": token})
        assert (again.status_code, again.json()["code"]) == (409, "user-already-active")
        assert system.bus.dead == []


async def test_50_registrations_of_one_address_at_once_make_one_account(database):
    spellings = ["ann@example.com", "ANN@example.com", " Ann@Example.COM "]
    async with running(database) as system:
        answers = await asyncio.gather(*(register(system, email=spellings[n % 3]) for n in range(50)))
        assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"email-taken"}
        await system.bus.quiet()
        assert len(await system.said("users.user.registered")) == 1
        assert len(mails(system, "verification")) == 1


async def test_the_same_key_20_times_at_once(database):
    async with running(database) as system:
        answers = await asyncio.gather(*(register(system, "k") for _ in range(20)))
        assert {answer.status_code for answer in answers} == {201}
        assert len({answer.content for answer in answers}) == 1
        assert sum(answer.headers.get("idempotent-replayed") == "true" for answer in answers) == 19
        other = await register(system, "k", name="Somebody Else")
        assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


BAD: list[tuple[str, Any]] = [
    ("email", "x,ann@example.com"), ("email", "<ann@example.com"), ("email", "a@b.co\r\nBcc: c@d.co"), ("email", "a..b@c.co"),
    ("email", "a@b@c.co"), ("email", "a" * 250 + "@b.co"), ("email", '"a"@b.co'), ("email", "a@-b.co"), ("email", "a b@c.co"),
    ("email", "nobody"), ("email", None), ("name", "A"), ("name", "A" * 101), ("name", "A\nB"), ("password", "short"),
    ("password", "x" * 129), ("age", 17), ("age", 121), ("age", "40"), ("phone", "call me"), ("newsletter", "yes"),
    ("status", "active"), ("id", "usr_1"),
]  # fmt: skip


async def test_a_bad_or_missing_field_is_named(database):
    async with running(database) as system:
        for field, value in BAD:
            answer = await register(system, **{field: value})
            assert answer.status_code == 422, field
            assert [error["field"] for error in answer.json()["errors"]] == [field]
            assert "correct horse" not in answer.text
        for field in ANN:
            body = {name: value for name, value in ANN.items() if name != field}
            answer = await system.users.post("/users", json=body)
            assert answer.status_code == 422
            assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_only_the_mailed_token_activates(database):
    async with running(database) as system:
        user_id = (await register(system)).json()["id"]
        other_id = (await register(system, email="bob@example.com")).json()["id"]
        await system.bus.quiet()
        theirs = {mail["To"]: token_in(mail) for mail in mails(system, "verification")}
        url = f"/users/{user_id}/activate"
        for wrong in (theirs["bob@example.com"], "x", theirs["Ann@Example.com"][:-1], "é"):
            answer = await system.users.post(url, json={"token": wrong})
            assert (answer.status_code, answer.json()["code"]) == (422, "bad-token")
        unknown = await system.users.post(f"/users/usr_{'0' * 26}/activate", json={"token": "x"})
        assert unknown.status_code == 404
        assert other_id != user_id
        answers = await asyncio.gather(
            *(system.users.post(url, json={"token": theirs["Ann@Example.com"]}) for _ in range(10))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 9}


async def test_another_token_replaces_the_first(database):
    async with running(database) as system:
        user_id = (await register(system)).json()["id"]
        answer = await system.users.post(f"/users/{user_id}/verification")
        assert (answer.status_code, answer.json()["status"]) == (202, "pending_verification")
        await system.bus.quiet()
        tokens = {token_in(mail) for mail in mails(system, "verification")}
        assert len(tokens) == 2
        url = f"/users/{user_id}/activate"
        answers = [await system.users.post(url, json={"token": token}) for token in tokens]
        assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 422])
        for _ in range(VERIFICATIONS_MAX):
            assert (await system.users.post(f"/users/{user_id}/verification")).status_code == 409


async def test_an_expired_verification_token_is_refused(database):
    async with running(database, durations_seconds={"verification": 0}) as system:
        user_id = (await register(system)).json()["id"]
        await system.bus.quiet()
        assert mails(system, "verification") == []  # it came too late to be of use
        (said,) = await system.said("users.user.verification_requested")
        assert datetime.fromisoformat(said["expires_at"]) <= datetime.now(UTC) + timedelta(seconds=1)
        assert user_id == said["user_id"]


async def test_profile_and_preferences_are_read_and_changed(database):
    async with running(database) as system:
        user_id = await active(system)
        url = f"/users/{user_id}"
        tag = (await system.users.get(url)).headers["etag"]
        answer = await system.users.patch(url, json={"company": "Archers", "age": 30}, headers={"If-Match": tag})
        assert (answer.status_code, answer.json()["company"], answer.json()["name"]) == (200, "Archers", "Ann Archer")
        stale = await system.users.patch(url, json={"company": "X"}, headers={"If-Match": tag})
        assert stale.status_code == 412
        answer = await system.users.patch(url, json={"company": None})
        assert (answer.json()["company"], answer.json()["age"]) == (None, 30)
        answer = await system.users.put(url, json={"name": "Ann Baker"})
        assert (answer.json()["name"], answer.json()["age"]) == ("Ann Baker", None)
        for bad in ({}, {"name": None}, {"email": "new@example.com"}, {"status": "suspended"}):
            assert (await system.users.patch(url, json=bad)).status_code == 422
        assert (await system.users.get(f"{url}/preferences")).json() == {"notifications": True, "newsletter": False}
        answer = await system.users.patch(f"{url}/preferences", json={"newsletter": True})
        assert (answer.json()["notifications"], answer.json()["newsletter"]) == (True, True)
        answer = await system.users.put(f"{url}/preferences", json={"notifications": False})
        assert (answer.json()["notifications"], answer.json()["newsletter"]) == (False, False)


async def test_an_erased_address_can_be_used_anew(database):
    async with running(database) as system:
        user_id = await active(system)
        assert (await system.users.delete(f"/users/{user_id}")).status_code == 204
        assert (await system.users.delete(f"/users/{user_id}")).status_code == 204
        assert (await system.users.get(f"/users/{user_id}")).status_code == 404
        assert len(await system.said("users.user.deleted")) == 1
        assert await system.rows("SELECT * FROM users.accounts") == []
        assert (await register(system)).status_code == 201
        await system.bus.quiet()
        timers = await system.rows("SELECT timer_id FROM scheduler.timers WHERE NOT cancelled")
        assert len(timers) == 2
        assert not [timer for timer in timers if user_id in timer["timer_id"]]


async def test_no_password_or_token_or_plain_address_in_the_tables(database):
    async with running(database) as system:
        user_id = await active(system)
        token = token_in(mails(system, "verification")[0])
        events = str(await system.rows("SELECT data, meta FROM log.events"))
        kept = str(await system.rows("SELECT * FROM users.inbox")) + str(
            await system.rows("SELECT * FROM users.accounts")
        )
        assert user_id in events
        for secret in ("correct horse", token, "argon2"):
            assert secret not in events
        assert "ann@example.com" not in kept.lower()
        assert token not in kept


async def test_a_suspended_account_cannot_be_changed_until_it_is_reinstated(database):
    async with running(database) as system:
        user_id = await active(system)
        url = f"/users/{user_id}"
        answer = await system.users.post(f"{url}/suspend", json={"reason": "fraud"})
        assert (answer.status_code, answer.json()["status"]) == (200, "suspended")
        assert (await system.users.patch(url, json={"age": 30})).status_code == 409
        answer = await system.users.post(f"{url}/reinstate")
        assert (answer.status_code, answer.json()["status"]) == (200, "active")
        assert (await system.users.patch(url, json={"age": 30})).status_code == 200


@asynccontextmanager
async def time_machine(database: Any, system: System) -> AsyncGenerator[Timers]:
    store = PostgresEventStore(database.dsn("scheduler"), "scheduler")
    yield Timers(CommandHandler("scheduler", store, Relay(store.outbox, system.bus), MemoryVault()))
    await store.close()


async def test_scheduled_mails_are_sent_when_they_are_due(database):
    async with running(database) as system, time_machine(database, system) as timers:
        ids = {
            name: await active(system, email=f"{name}@example.com", newsletter=True) for name in ("ann", "bob", "cid")
        }
        await system.users.patch(f"/users/{ids['bob']}/preferences", json={"notifications": False})
        await register(system, email="dan@example.com")
        await system.users.delete(f"/users/{ids['cid']}")
        await system.bus.quiet()
        now = datetime.now(UTC)

        async def at(later: timedelta) -> dict[str, list[str]]:
            await timers.fire(now + later)
            await system.bus.quiet()
            return {kind: [mail["To"] for mail in mails(system, kind)] for kind in ("welcome_tips", "follow_up")}

        nothing: dict[str, list[str]] = {"welcome_tips": [], "follow_up": []}
        assert await at(timedelta(minutes=4)) == nothing
        welcomed = {name: sorted(to) for name, to in (await at(timedelta(minutes=6))).items()}
        assert welcomed == {"welcome_tips": ["ann@example.com", "dan@example.com"], "follow_up": []}
        for later in (
            timedelta(minutes=-9),
            timedelta(days=2),
            timedelta(days=4),
            timedelta(days=4),
            timedelta(days=400),
        ):
            seen = await at(later)  # back, too early, due, again, and far ahead
            assert len(seen["welcome_tips"]) == 2
            assert seen["follow_up"] == (["ann@example.com"] if later >= timedelta(days=4) else [])
        assert system.bus.dead == []


async def test_a_user_who_accepts_news_after_the_mail_was_due_gets_none(database):
    async with running(database) as system, time_machine(database, system) as timers:
        user_id = await active(system, newsletter=True)
        url = f"/users/{user_id}/preferences"
        await system.users.put(url, json={"notifications": False})
        await timers.fire(datetime.now(UTC) + timedelta(days=4))
        await system.bus.quiet()
        await system.users.put(url, json={"notifications": True, "newsletter": True})
        await timers.fire(datetime.now(UTC) + timedelta(days=5))
        await system.bus.quiet()
        assert mails(system, "welcome_tips") == mails(system, "follow_up") == []


async def test_an_order_has_the_contact_of_the_account_unless_it_gives_another(database):
    async with running(database) as system:
        await system.stock("P", 9)
        user_id = await active(system)
        body = order(("P", 1))
        del body["email"]
        headers = customer(user_id)
        placed = [
            await system.orders.post("/orders", json=body, headers=headers),
            await system.orders.post("/orders", json=body | {"email": "gift@example.com"}, headers=headers),
            await system.orders.post("/orders", json=body | {"customer_name": "The Archers"}, headers=headers),
            await system.place(body | {"customer_id": user_id}),  # staff order for the customer
        ]
        draft = await system.orders.post("/orders?draft=true", json=body, headers=headers)
        path = f"/orders/{draft.json()['order_id']}"
        assert (await system.orders.put(path, json=body | {"notes": "x"}, headers=headers)).status_code == 200
        placed.append(await system.orders.post(f"{path}/submit", headers=headers))
        assert {answer.status_code for answer in placed} == {202}
        assert (await system.users.patch(f"/users/{user_id}", json={"name": "Ann Baker"})).status_code == 200
        placed.append(await system.orders.post("/orders", json=body, headers=headers))
        await system.at_rest()
        orders = {each.order_id: (each.email, each.customer_name) for each in await system.messages(OrderCreated)}
        ann, email = "Ann Archer", "Ann@Example.com"
        given = [(email, ann), ("gift@example.com", ann), (email, "The Archers"), (email, ann), (email, ann)]
        assert [orders[answer.json()["order_id"]] for answer in placed] == [*given, (email, "Ann Baker")]
        to = {mail["X-Zerocart-Order"]: mail["To"] for mail in mails(system, "confirmation")}
        assert to == {order_id: found for order_id, (found, _) in orders.items()}
        (row,) = await system.rows(f"SELECT contact FROM vault.keys WHERE person = '{user_id}'")
        assert b"xample" not in row["contact"]
        await system.users.delete(f"/users/{user_id}")
        (row,) = await system.rows(f"SELECT contact FROM vault.keys WHERE person = '{user_id}'")
        assert row["contact"] is None
        assert (await system.place(body | {"customer_id": user_id})).status_code == 202
        await system.bus.quiet()
        assert {each.email for each in await system.messages(OrderCreated)} == {None}
