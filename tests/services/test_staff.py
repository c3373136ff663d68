"""Staff are invited by mail and have roles; other programs have secrets that staff make, rotate and revoke."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from services.contracts.scheduler import TimerRequested
from services.contracts.scopes import EVERY_SCOPE
from services.contracts.users import ClientCreated, ClientExpired, ClientRevoked
from services.kit.domain.decider import Rejected
from services.users.roles import ROLES
from services.users.tokens.api_clients import CLIENT, CreateClient, ExpireClient
from tests.services.system import CLIENT_SECRET, System, running
from tests.services.test_users import ANN, active, ask, mails, token_in
from tests.tokens import authorization, customer

BEN = {"email": "ben@example.com", "name": "Ben", "role": "support"}
PASSWORD = "another horse battery"


async def invite(system: System, **more: Any) -> httpx.Response:
    answer = await system.users.post("/staff", json=BEN | more)
    await system.bus.quiet()
    return answer


async def accept(system: System, password: str = PASSWORD) -> httpx.Response:
    token = token_in(mails(system, "staff_invitation")[-1])
    answer = await system.users.post("/password-reset/confirm", json={"token": token, "new": password})
    await system.bus.quiet()
    return answer


async def login(system: System, **more: str) -> httpx.Response:
    return await ask(system, {"grant_type": "password", "username": BEN["email"], "password": PASSWORD, **more})


async def staff(system: System) -> list[dict[str, Any]]:
    return (await system.users.get("/staff")).json()["staff"]


async def test_an_invited_person_accepts_and_logs_in_with_the_scopes_of_the_role(database):
    async with running(database) as system:
        answer = await invite(system)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["role"], answer.json()["invited_as"]) == (None, "support")
        assert (await login(system)).status_code == 400
        assert (await accept(system)).status_code == 204
        (member,) = await staff(system)
        assert (member["role"], member["invited_as"], member["status"]) == ("support", None, "active")
        answer = await login(system)
        assert set(answer.json()["scope"].split()) == {"users:read", "users:write", *ROLES["support"]}


async def test_a_wrong_token_accepts_nothing(database):
    async with running(database) as system:
        user_id = (await invite(system)).json()["id"]
        body = {"token": f"{user_id}.{'x' * 43}", "new": PASSWORD}
        assert (await system.users.post("/password-reset/confirm", json=body)).status_code == 422
        assert (await staff(system))[0]["role"] is None


async def test_somebody_who_registered_the_address_of_another_gets_no_role_by_knowing_a_password(database):
    async with running(database) as system:
        stranger = {"email": BEN["email"], "name": "Mallory", "password": "mallorys password"}
        user_id = (await system.users.post("/users", json=stranger)).json()["id"]
        assert (await invite(system)).json()["id"] == user_id
        assert (await accept(system)).status_code == 204
        assert (await login(system, password=stranger["password"])).status_code == 400
        assert (await login(system)).status_code == 200


async def test_a_changed_role_ends_the_logins_and_voids_the_tokens(database):
    async with running(database) as system:
        user_id = (await invite(system)).json()["id"]
        await accept(system)
        await asyncio.sleep(1)  # tokens tell their time in whole seconds, and those from before the role are void
        first, before = await login(system), authorization(user_id, "users:read")
        assert (await system.users.get(f"/users/{user_id}", headers=before)).status_code == 200
        answer = await system.users.put(f"/staff/{user_id}", json={"role": "viewer"})
        assert (answer.status_code, answer.json()["role"]) == (200, "viewer")
        assert (await system.users.get(f"/users/{user_id}", headers=before)).status_code == 401
        form = {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]}
        assert (await ask(system, form)).status_code == 400
        assert (await login(system, scope="orders:write")).json()["error"] == "invalid_scope"
        assert (await system.users.delete(f"/staff/{user_id}")).status_code == 204
        assert await staff(system) == []
        assert "orders:admin" not in (await login(system)).json()["scope"]


async def test_nobody_gives_others_more_than_they_have(database):
    async with running(database) as system:
        mine = authorization("usr_manager", " ".join([*ROLES["manager"], "access:read", "access:write"]))
        ask_for = [
            system.users.post("/staff", json=BEN | {"role": "admin"}, headers=mine),
            system.users.post("/clients", json={"name": "P", "scopes": ["users:read"]}, headers=mine),
        ]
        for answer in [await each for each in ask_for]:
            assert answer.status_code == 403, answer.text
        user_id = (await invite(system, role="admin")).json()["id"]
        await accept(system)
        assert (await system.users.delete(f"/staff/{user_id}", headers=mine)).status_code == 403
        assert (await system.users.put(f"/staff/{user_id}", json={"role": "viewer"}, headers=mine)).status_code == 403
        assert (await invite(system, role="viewer", email="c@example.com")).status_code == 201
        assert (await system.users.get("/staff", headers=customer("usr_1"))).status_code == 403


async def test_a_customer_who_is_no_staff_cannot_be_changed_or_removed(database):
    async with running(database) as system:
        user_id = await active(system)
        for answer in (
            await system.users.put(f"/staff/{user_id}", json={"role": "admin"}),
            await system.users.delete(f"/staff/{user_id}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "staff-not-found")
        assert (await login(system, username=ANN["email"], password=ANN["password"], scope="orders:admin")).json()[
            "error"
        ] == "invalid_scope"


async def create(system: System, key: str = "", **more: Any) -> httpx.Response:
    body = {"name": "Warehouse", "scopes": ["stock:read", "stock:write"], **more}
    return await system.users.post("/clients", json=body, headers={"Idempotency-Key": key} if key else {})


async def token(system: System, client_id: str, secret: str, **more: str) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **more}
    return await ask(system, form)


async def test_a_client_gets_tokens_with_its_scopes_until_it_is_revoked(database):
    async with running(database) as system:
        made = (await create(system, scopes=["stock:read", "access:read"])).json()
        client_id, secret = made["client"]["client_id"], made["client_secret"]
        answer = await token(system, client_id, secret)
        assert answer.json()["scope"] == "stock:read access:read"
        before = authorization(client_id, "access:read")
        assert (await system.users.get("/clients", headers=before)).status_code == 200
        assert (await token(system, client_id, secret, scope="orders:read")).json()["error"] == "invalid_scope"
        assert (await token(system, client_id, "x" * 43)).status_code == 401
        assert (await system.users.delete(f"/clients/{client_id}")).status_code == 204
        assert (await system.users.delete(f"/clients/{client_id}")).status_code == 204
        assert (await token(system, client_id, secret)).status_code == 401
        assert (await system.users.get("/clients", headers=before)).status_code == 401


async def test_a_repeated_request_makes_one_client_and_shows_its_secret_again(database):
    async with running(database) as system:
        first, again = await create(system, "k"), await create(system, "k")
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json()["client_secret"] == first.json()["client_secret"]
        rows = await system.rows("SELECT answer FROM users.inbox")
        assert first.json()["client_secret"] not in str(rows)


async def test_after_a_rotation_both_secrets_are_valid_for_a_while(database):
    async with running(database) as system:
        made = (await create(system)).json()
        client_id, first = made["client"]["client_id"], made["client_secret"]
        path = f"/clients/{client_id}/rotate"
        second = (await system.users.post(path, json={})).json()["client_secret"]
        assert [(await token(system, client_id, each)).status_code for each in (first, second)] == [200, 200]
        third = (await system.users.post(path, json={"keep_previous_seconds": 0})).json()["client_secret"]
        found = [(await token(system, client_id, each)).status_code for each in (first, second, third)]
        assert found == [401, 401, 200]


async def test_an_expired_client_gets_no_token_and_its_last_one_ends_with_it(database):
    async with running(database) as system:
        soon = (datetime.now(UTC) + timedelta(seconds=60)).isoformat()
        made = (await create(system, expires_at=soon)).json()
        answer = await token(system, made["client"]["client_id"], made["client_secret"])
        assert answer.json()["expires_in"] <= 60
        assert (await create(system, expires_at="2020-01-01T00:00:00Z")).status_code == 422
        assert (await create(system, scopes=["no:such"])).status_code == 422
        assert (await create(system, scopes=[])).status_code == 422


async def test_the_list_shows_who_is_known_and_when_a_token_was_issued_and_no_secret(database):
    async with running(database) as system:
        made = (await create(system)).json()
        await token(system, made["client"]["client_id"], made["client_secret"])
        text = (await system.users.get("/clients")).text
        assert made["client_secret"] not in text and CLIENT_SECRET not in text
        shown = {each["client_id"]: each for each in httpx.Response(200, text=text).json()["clients"]}
        assert shown["shop"]["from_settings"] is True
        assert shown[made["client"]["client_id"]]["last_used_at"] is not None
        for answer in (
            await system.users.post("/clients/shop/rotate", json={}),
            await system.users.delete("/clients/shop"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "client-in-settings")
        assert (await system.users.delete("/clients/cli_none")).status_code == 404


async def test_an_admin_may_do_everything(database):
    async with running(database) as system:
        await invite(system, role="admin")
        await accept(system)
        assert set((await login(system)).json()["scope"].split()) == set(EVERY_SCOPE)


async def test_a_deleted_account_leaves_the_staff(database):
    async with running(database) as system:
        user_id = (await invite(system)).json()["id"]
        await accept(system)
        assert (await system.users.delete(f"/users/{user_id}")).status_code == 204
        assert await staff(system) == []
        assert (await login(system)).status_code == 400


async def test_client_with_an_unknown_scope_is_refused_with_the_known_scopes(database):
    async with running(database) as system:
        answer = await create(system, scopes=["orders:wirte"])
        [error] = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, "scopes.0")
        assert error["detail"].startswith("there is no such scope; the scopes are ")
        assert all(scope in error["detail"] for scope in EVERY_SCOPE)


async def test_a_client_with_an_end_asks_for_a_timer_and_expires_only_then(database):
    async with running(database) as system:
        until = datetime.now(UTC) + timedelta(days=1)
        client_id = (await create(system, expires_at=until.isoformat())).json()["client"]["client_id"]
        (timer,) = await system.messages(TimerRequested)
        assert (timer.due_at, timer.message) == (until, {"client_id": client_id})
        early = {
            "ce-specversion": "1.0", "ce-id": "t:1", "ce-source": "/zerocart/scheduler", "ce-type": timer.message_type,
            "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json",
        }  # fmt: skip
        body = json.dumps(timer.message)
        assert (await system.bus.clients["users"].post("/events", content=body, headers=early)).status_code == 204
        assert await system.messages(ClientExpired) == []


def test_a_client_expires_once_and_not_after_it_was_revoked() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    create_it = CreateClient(at=at, client_id="cli_1", name="P", scopes=("stock:read",), expires_at=at)
    created = CLIENT.decide(create_it, CLIENT.initial)
    assert not isinstance(created, Rejected)
    client = CLIENT.fold(created, CLIENT.initial)
    expire = ExpireClient(at=at, client_id="cli_1")
    expired = ClientExpired(client_id="cli_1")
    assert CLIENT.decide(expire, client) == [expired]
    assert CLIENT.decide(expire, CLIENT.fold([expired], client)) == []
    assert CLIENT.decide(expire, CLIENT.fold([ClientRevoked(client_id="cli_1")], client)) == []
    assert CLIENT.decide(expire, CLIENT.initial) == []
    endless = CLIENT.decide(replace(create_it, expires_at=None), CLIENT.initial)
    assert not isinstance(endless, Rejected)
    assert [type(event) for event in endless] == [ClientCreated]
