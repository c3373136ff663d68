"""Password hashes: time without an account, threads, bounds."""

from __future__ import annotations

import asyncio
import threading
import time
from statistics import median

import pytest

from services.kit.domain.errors import Unavailable
from services.users.passwords import NOBODYS_HASH, THREADS_MAX, WAITING_MAX, Passwords


async def test_only_the_password_matches_its_hash():
    passwords = Passwords()
    kept = await passwords.hash("correct horse")
    assert kept != await passwords.hash("correct horse")
    assert await passwords.check("correct horse", kept)
    assert not await passwords.check("correct hors", kept)
    assert not await passwords.check("correct horse", None)
    assert not passwords.outdated(kept)
    assert not passwords.outdated(NOBODYS_HASH)  # so it costs what a real one does
    await passwords.close()


async def test_a_password_matches_in_another_unicode_composition():
    passwords = Passwords()
    kept = await passwords.hash("caf\u00e9 noir")
    assert await passwords.check("cafe\u0301 noir", kept)
    await passwords.close()


async def test_a_check_without_an_account_takes_as_long():
    # in processor time, which other programs do not change
    passwords, kept = Passwords(), await Passwords().hash("correct horse")
    times: dict[str | None, list[float]] = {kept: [], None: []}
    for _ in range(15):
        for known, seen in times.items():
            before = time.process_time()
            await passwords.check("wrong", known)
            seen.append(time.process_time() - before)
    ratio = median(times[kept]) / median(times[None])
    assert 0.6 < ratio < 1.7
    await passwords.close()


async def test_the_number_of_waiting_passwords_is_bounded():
    passwords, before = Passwords(), set(threading.enumerate())
    checks = [asyncio.create_task(passwords.check("x", None)) for _ in range(WAITING_MAX)]
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await passwords.check("x", None)
    ours = [thread for thread in set(threading.enumerate()) - before if thread.name.startswith("argon2")]
    assert 0 < len(ours) <= THREADS_MAX
    await asyncio.gather(*checks)
    assert not await passwords.check("x", None)
    await passwords.close()
