"""Races: a suspended or deleted account issues no token, and a mailed token works once."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.kit.eventstore.postgres import PostgresEventStore
from services.users.attempts import FORGOTTEN_AFTER, Attempts
from tests.services.system import System, running
from tests.services.test_users import ANN, active, ask, mails, register, token_in

LOGIN = {"grant_type": "password", "username": ANN["email"], "password": ANN["password"]}
ROUNDS = 4


async def login(system: System, email: str) -> httpx.Response:
    return await ask(system, LOGIN | {"username": email})


async def shut(system: System, user_id: str, how: str) -> httpx.Response:
    await asyncio.sleep(0.05)
    url = f"/users/{user_id}"
    if how == "delete":
        return await system.users.delete(url)
    if how == "suspend":
        return await system.users.post(f"{url}/suspend", json={"reason": "x"})
    return await system.users.post(f"{url}/password", json={"current": ANN["password"], "new": "battery staple"})


@pytest.mark.parametrize("how", ["suspend", "delete", "password"])
async def test_no_login_survives_a_suspension_deletion_or_password_change(database, how):
    async with running(database) as system:
        for number in range(ROUNDS):
            email = f"ann{number}@example.com"
            user_id = await active(system, email=email)
            done, *answers = await asyncio.gather(shut(system, user_id, how), *(login(system, email) for _ in range(3)))
            assert done.status_code in (200, 204), done.text
            assert {answer.status_code for answer in answers} <= {200, 400}
            for answer in answers:
                if answer.status_code == 200:
                    form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"]}
                    again = await ask(system, form)
                    assert again.status_code == 400, "a login from before lives on"
            assert await system.rows("SELECT * FROM users.refresh_tokens") == []
        assert system.bus.dead == []


async def test_a_reset_token_that_is_used_at_once_works_once(database):
    async with running(database) as system:
        await active(system)
        await system.users.post("/password-reset", json={"email": ANN["email"]})
        await system.bus.quiet()
        (mail,) = mails(system, "password_reset")
        bodies: list[dict[str, Any]] = [{"token": token_in(mail), "new": f"battery staple {n}"} for n in range(8)]
        answers = await asyncio.gather(*(system.users.post("/password-reset/confirm", json=b) for b in bodies))
        assert Counter(answer.status_code for answer in answers)[204] == 1
        assert {answer.status_code for answer in answers} <= {204, 409, 422}
        (won,) = [body["new"] for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 204]
        answer = await ask(system, LOGIN | {"password": won})
        assert answer.status_code == 200
        assert len(await system.said("users.user.password_changed")) == 1


async def test_a_deletion_and_registrations_at_once_leave_at_most_one_account(database):
    async with running(database) as system:
        user_id = await active(system)
        gone, *answers = await asyncio.gather(
            system.users.delete(f"/users/{user_id}"), *(register(system) for _ in range(6))
        )
        assert gone.status_code == 204
        counts = Counter(answer.status_code for answer in answers)
        assert counts[201] <= 1
        assert set(counts) <= {201, 409}
        assert len(await system.rows("SELECT * FROM users.accounts")) == counts[201]


async def test_expired_attempts_are_reset_at_once_without_a_deadlock(database):
    store = PostgresEventStore(database.dsn("users"), "users")
    attempts, now = Attempts(store), datetime(2026, 1, 1, tzinfo=UTC)
    addresses = [f"{n}".encode() for n in range(40)]
    for _ in range(ROUNDS):
        await asyncio.gather(*(attempts.begin(address, now) for address in addresses))
        now += FORGOTTEN_AFTER + timedelta(seconds=1)
    rows = await store.connections.fetch("SELECT failures FROM attempts")
    assert [row["failures"] for row in rows] == [1] * len(addresses)
    await store.close()
