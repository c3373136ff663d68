"""A token that was revoked is refused at once by every service, although its signature holds until it expires."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from scripts.openapi import every_service, routes_of
from services.kit.auth.access import Access, rule_of
from tests.services import read_side
from tests.services.system import System, order, running
from tests.services.test_users import ANN, active
from tests.services.test_users_tokens import refresh, tokens
from tests.tokens import STAFF_SCOPES, authorization

PASSWORDS = {"current": ANN["password"], "new": "another horse"}


def token_of(subject: str, seconds_ago: float = 1.0) -> dict[str, str]:
    """A token with all scopes of staff, so that only the revocation can refuse it."""
    return authorization(subject, STAFF_SCOPES, iat=time.time() - seconds_ago)


async def placed(system: System, token: dict[str, str]) -> tuple[int, str]:
    answer = await system.orders.post("/orders", json=order(("mug", 1)), headers=token)
    return answer.status_code, answer.json().get("code", "")


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


async def test_no_route_of_any_service_that_reaches_the_event_store_accepts_a_revoked_token(database):
    async with running(database) as system, read_side.running(database) as side:
        token = token_of("usr_ann")
        await revoke(system, "usr_ann")
        clients: dict[str, httpx.AsyncClient] = {**system.bus.clients, "projection": side.projection}
        asked = 0
        for name, service in every_service().items():
            for route in routes_of(service):
                if name not in clients or not isinstance(rule_of(route), Access):
                    continue
                path = route.path.replace("{", "").replace("}", "")
                for method in route.methods or ():
                    answer = await clients[name].request(method, path, headers=token)
                    assert (answer.status_code, answer.json()["code"]) == (401, "invalid-token"), (name, method, path)
                    asked += 1
        assert asked > 25
