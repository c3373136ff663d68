"""The vault on Postgres: one key for each person whatever races, and each look-up answered for itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.kit.config.secrets import plain
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import PostgresVault
from tests.services.read_side import VAULT_KEY

PERSONS = [f"usr_{number:03}" for number in range(40)]
NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, UTC)


@asynccontextmanager
async def stores(database: Any, count: int = 1) -> AsyncGenerator[list[PostgresEventStore]]:
    opened = [PostgresEventStore(database.dsn("users"), "users", archive="") for _ in range(count)]
    try:
        yield opened
    finally:
        for store in opened:
            await store.close()


async def test_processes_that_race_make_one_key_for_each_person(database: Any) -> None:
    async with stores(database, 3) as opened:
        vaults = [PostgresVault(store.connections, VAULT_KEY, cache_seconds=0) for store in opened]
        asked = [(vault, person) for vault in vaults for person in (*PERSONS, *reversed(PERSONS))]
        found = await asyncio.gather(*(vault.key_for(person) for vault, person in asked))
        keys: dict[str, set[bytes | None]] = {}
        for (_, person), key in zip(asked, found, strict=True):
            keys.setdefault(person, set()).add(key)
        assert all(len(each) == 1 and None not in each for each in keys.values())
        assert len(set.union(*keys.values())) == len(PERSONS)


async def test_a_person_whose_key_a_transaction_makes_has_that_key(database: Any) -> None:
    async with stores(database) as (store,):
        vault = PostgresVault(store.connections, VAULT_KEY, cache_seconds=0)
        async with store.transaction() as transaction:
            made = await vault.key_for("usr_a", transaction)
            assert await vault.key_for("usr_a", transaction) == made
            waiting = asyncio.create_task(vault.key_for("usr_a"))
            await asyncio.sleep(0.05)
        assert await waiting == made


async def test_an_erased_person_and_one_whose_key_is_locked_do_not_disturb_others(database: Any) -> None:
    async with stores(database) as (store,):
        other = PostgresVault(store.connections, plain("l" * 32), cache_seconds=0)
        vault = PostgresVault(store.connections, VAULT_KEY, cache_seconds=0)
        await other.key_for("usr_locked")
        async with store.transaction() as transaction:
            await vault.erase("usr_erased", transaction)
        persons = ["usr_new", "usr_erased", "usr_locked", "usr_\0"]
        new, gone, locked, refused = await asyncio.gather(*map(vault.key_for, persons), return_exceptions=True)
        assert isinstance(new, bytes)
        assert gone is None
        assert isinstance(locked, Unavailable)
        assert isinstance(refused, Exception)
        assert await vault.key_for("usr_erased") is None


@pytest.mark.parametrize("before", [timedelta(microseconds=1), timedelta(hours=1), None])
async def test_each_token_is_judged_by_its_own_subject_and_time(database: Any, before: timedelta | None) -> None:
    async with stores(database) as (store,):
        vault = PostgresVault(store.connections, VAULT_KEY)
        async with store.transaction() as transaction:
            await vault.revoke("usr_a", NOW + before if before else None, transaction)
        later = NOW + timedelta(hours=1)
        asked = [("usr_a", NOW), ("usr_b", NOW), ("usr_a", later), ("usr_b", later), ("usr_a", NOW)]
        found = await asyncio.gather(*(vault.is_revoked(subject, at) for subject, at in asked))
        assert found == [True, False, before is None, False, True]
