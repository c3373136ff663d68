"""A token that was revoked is refused at once by every service, although its signature holds until it expires."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from scripts.openapi import every_service, routes_of
from services.kit.auth.access import Access, rule_of
from services.kit.config.settings import Settings
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from services.kit.service.host import Host
from services.operations.app import create_app as operations
from tests.conftest import execute
from tests.services import read_side
from tests.services.receivers import webhooks_of
from tests.services.system import Bus, System, order, running
from tests.services.test_users import ANN, active
from tests.services.test_users_tokens import refresh, tokens
from tests.tokens import STAFF_SCOPES, TRUST, authorization

PASSWORDS = {"current": ANN["password"], "new": "another horse"}


def token_of(subject: str, seconds_ago: float = 1.0) -> dict[str, str]:
    """A token with all scopes of staff, so that only the revocation can refuse it."""
    return authorization(subject, STAFF_SCOPES, iat=time.time() - seconds_ago)


async def placed(system: System, token: dict[str, str]) -> tuple[int, str]:
    answer = await system.orders.post("/orders", json=order(("mug", 1)), headers=token)
    return answer.status_code, answer.json().get("code", "")


async def read(side: read_side.ReadSide, token: dict[str, str]) -> int:
    return (await side.query.get("/orders", headers=token)).status_code


@asynccontextmanager
async def with_read_side(database: Any) -> AsyncGenerator[tuple[System, read_side.ReadSide]]:
    """All services; the bus nudges the projection."""
    async with running(database) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        yield system, side
        await system.bus.quiet()
        del system.bus.clients["projection"]


@asynccontextmanager
async def operating(database: Any) -> AsyncGenerator[httpx.AsyncClient]:
    """The operations service, which never publishes here."""
    store = PostgresEventStore(database.dsn("operations"), "operations")
    failed = PostgresFailedMessages(store)
    vault = PostgresVault(store.connections, read_side.VAULT_KEY)
    host = Host.of(Settings(service="operations", **TRUST), store, Bus(), failed, vault)
    transport = httpx.ASGITransport(operations(host))
    async with httpx.AsyncClient(transport=transport, base_url="http://operations") as client:
        yield client
    await host.close()


async def suspend(system: System, user_id: str) -> None:
    answer = await system.users.post(f"/users/{user_id}/suspend", json={"reason": "fraud"})
    assert answer.status_code == 200, answer.text


async def delete(system: System, user_id: str) -> None:
    assert (await system.users.delete(f"/users/{user_id}")).status_code == 204


async def change_password(system: System, user_id: str) -> None:
    assert (await system.users.post(f"/users/{user_id}/password", json=PASSWORDS)).status_code == 204


async def revoke(system: System, user_id: str) -> None:
    assert (await system.users.delete(f"/tokens/{user_id}")).status_code == 204


async def send_a_used_refresh_token(system: System, _: str) -> None:
    login = await tokens(system)
    assert (await refresh(system, login["refresh_token"])).status_code == 200
    assert (await refresh(system, login["refresh_token"])).status_code == 400


ENDS: dict[str, tuple[Any, bool]] = {
    "suspended": (suspend, False),
    "deleted": (delete, False),
    "password changed": (change_password, True),
    "revoked by an operator": (revoke, True),
    "refresh token stolen": (send_a_used_refresh_token, True),
}
"""What ends the tokens of a user, and whether later tokens are accepted."""


@pytest.mark.parametrize("name", ENDS)
async def test_the_tokens_of_a_user_end_at_once(database, name):
    end, later_accepted = ENDS[name]
    async with running(database) as system:
        user_id = await active(system)
        token = token_of(user_id)
        assert await placed(system, token) == (202, "")
        await end(system, user_id)
        assert await placed(system, token) == (401, "invalid-token")
        expected = (202, "") if later_accepted else (401, "invalid-token")
        assert await placed(system, token_of(user_id, 0.0)) == expected
        assert await placed(system, token_of("usr_bob")) == (202, "")


async def test_a_reinstated_user_needs_a_new_token(database):
    async with running(database) as system:
        user_id = await active(system)
        token = token_of(user_id)
        await suspend(system, user_id)
        await revoke(system, user_id)  # must not readmit a suspended user
        assert (await placed(system, token_of(user_id, 0.0)))[0] == 401
        assert (await system.users.post(f"/users/{user_id}/reinstate")).status_code == 200
        assert (await placed(system, token))[0] == 401
        assert (await placed(system, token_of(user_id, 0.0)))[0] == 202


async def test_programs_and_erased_persons_without_an_account_are_refused(database):
    async with running(database) as system:
        before = {subject: token_of(subject) for subject in ("shop", "outside-customer")}
        for token in before.values():
            assert (await placed(system, token))[0] == 202
        await revoke(system, "shop")
        assert (await system.users.delete("/persons/outside-customer")).status_code == 204
        for token in before.values():
            assert (await placed(system, token))[0] == 401
        assert (await placed(system, token_of("shop", 0.0)))[0] == 202
        assert (await placed(system, token_of("outside-customer", 0.0)))[0] == 401


@pytest.mark.parametrize("name", ENDS)
async def test_query_refuses_the_tokens_of_a_user_when_the_projection_has_read_the_event(database, name):
    end, later_accepted = ENDS[name]
    async with with_read_side(database) as (system, side):
        user_id = await active(system)
        token = token_of(user_id)
        assert await read(side, token) == 200
        await end(system, user_id)
        await system.bus.quiet()
        assert await read(side, token) == 401
        assert await read(side, token_of(user_id, 0.0)) == (200 if later_accepted else 401)
        assert await read(side, token_of("usr_bob")) == 200
        await side.rebuild_all()
        assert await read(side, token) == 401


async def test_query_accepts_the_new_token_of_a_reinstated_user(database):
    async with with_read_side(database) as (system, side):
        user_id = await active(system)
        token = token_of(user_id)
        await suspend(system, user_id)
        await revoke(system, user_id)
        await system.bus.quiet()
        assert await read(side, token_of(user_id, 0.0)) == 401
        assert (await system.users.post(f"/users/{user_id}/reinstate")).status_code == 200
        await system.bus.quiet()
        assert (await read(side, token), await read(side, token_of(user_id, 0.0))) == (401, 200)


async def test_query_refuses_erased_persons_and_revoked_programs(database):
    async with with_read_side(database) as (system, side):
        before = {subject: token_of(subject) for subject in ("shop", "outside-customer")}
        await revoke(system, "shop")
        assert (await system.users.delete("/persons/outside-customer")).status_code == 204
        await system.bus.quiet()
        assert {await read(side, token) for token in before.values()} == {401}
        assert await read(side, token_of("shop", 0.0)) == 200
        assert await read(side, token_of("outside-customer", 0.0)) == 401


async def test_query_answers_503_while_it_cannot_know_which_tokens_are_revoked(database):
    async with with_read_side(database) as (system, side):
        assert await read(side, token_of("usr_ann")) == 200
        await revoke(system, "usr_ann")
        await system.bus.quiet()
        await execute(database.read_owner_dsn, "UPDATE view_versions SET state = 'kept' WHERE view = 'revocations'")
        answer = await side.query.get("/orders", headers=token_of("usr_bob"))
        assert (answer.status_code, answer.json()["code"]) == (503, "read-side-moving")


async def test_no_route_of_any_service_accepts_a_revoked_token(database):
    async with (
        with_read_side(database) as (system, side),
        operating(database) as operator,
        webhooks_of(database, vault=system._vault) as webhooks,
    ):
        token = token_of("usr_ann")
        await revoke(system, "usr_ann")
        await system.bus.quiet()
        clients: dict[str, httpx.AsyncClient] = {
            **system.bus.clients, "query": side.query, "operations": operator, "webhooks": webhooks.client,
        }  # fmt: skip
        asked = 0
        for name, service in every_service().items():
            for route in routes_of(service):
                if not isinstance(rule_of(route), Access):
                    continue
                path = route.path.replace("{", "").replace("}", "")
                for method in route.methods or ():
                    answer = await clients[name].request(method, path, headers=token)
                    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token"), (name, method, path)
                    asked += 1
        assert asked > 40
