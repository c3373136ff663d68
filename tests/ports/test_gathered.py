"""Gathered look-ups: they share round trips, no answer is older than its question, and one bad key harms no other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.gathered import KEYS_MAX, Gathered
from tests.waiting import SECONDS_MAX


class Table:
    """A table of numbers that can be changed while a statement reads it."""

    def __init__(self) -> None:
        self.value = 0
        self.statements: list[list[str]] = []
        self.is_away = False

    async def read(self, keys: Sequence[str]) -> Mapping[str, int]:
        self.statements.append(list(keys))
        seen = self.value
        await asyncio.sleep(0.001)
        if self.is_away:
            raise Unavailable("database-away", "away")
        if "bad" in keys:
            raise ValueError("bad key")
        return {key: seen for key in keys if key != "unknown"}


async def test_look_ups_that_wait_share_a_statement():
    table = Table()
    gathered = Gathered(table.read)
    found = await asyncio.gather(*(gathered.find([f"k{number % 10}", "unknown"]) for number in range(50)))
    assert all(f"k{number % 10}" in each and "unknown" not in each for number, each in enumerate(found))
    assert len(table.statements) == 1
    assert sorted(table.statements[0]) == sorted({*(f"k{number}" for number in range(10)), "unknown"})


async def test_an_answer_is_never_older_than_its_question():
    table = Table()
    gathered = Gathered(table.read)

    async def ask(turns: int) -> None:
        for _ in range(turns):
            table.value += 1
            written = table.value
            assert (await gathered.find(["k"]))["k"] >= written

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(*(ask(20) for _ in range(20)))


async def test_a_key_that_is_refused_fails_its_own_look_up_only():
    gathered = Gathered(Table().read)
    found = await asyncio.gather(*(gathered.find([key]) for key in ("a", "bad", "b")), return_exceptions=True)
    assert found[0] == {"a": 0}
    assert isinstance(found[1], ValueError)
    assert found[2] == {"b": 0}


async def test_while_the_database_is_away_every_look_up_fails_with_one_statement():
    table = Table()
    table.is_away = True
    gathered = Gathered(table.read)
    found = await asyncio.gather(*(gathered.find([str(number)]) for number in range(9)), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in found)
    assert len(table.statements) == 1
    table.is_away = False
    assert await gathered.find(["a"]) == {"a": 0}


async def test_a_cancelled_look_up_does_not_disturb_the_others():
    gathered = Gathered(Table().read)
    cancelled, kept = (asyncio.create_task(gathered.find([key])) for key in ("a", "b"))
    await asyncio.sleep(0)
    cancelled.cancel()
    assert (await kept)["b"] == 0
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_a_statement_has_a_bounded_number_of_keys():
    table = Table()
    gathered = Gathered(table.read)
    many = [[f"{look_up}-{number}" for number in range(KEYS_MAX // 2)] for look_up in range(5)]
    await asyncio.gather(*(gathered.find(keys) for keys in many))
    assert [len(keys) for keys in table.statements] == [KEYS_MAX, KEYS_MAX, KEYS_MAX // 2]
