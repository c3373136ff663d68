"""Rewrapping the keys of persons after a change of the secret."""

from __future__ import annotations

import os
import subprocess
import sys

import asyncpg

from services.kit.config.secrets import plain
from services.kit.eventstore.connections import Connections
from services.kit.privacy.vault import PostgresVault
from tests.architecture.rules import ROOT

OLD, NEW, LOST = "o" * 32, "n" * 32, "l" * 32
PERSONS = [f"usr_{number:03}" for number in range(7)]


def rewrap(database, keys: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """As a Job runs it."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ZEROCART_VAULT_KEYS": keys}
    environ["ZEROCART_DATABASE_URL"] = database.dsn("users")
    program = [sys.executable, "-m", "services.users.rewrap", *arguments]
    return subprocess.run(program, env=environ, capture_output=True, text=True, check=False)


async def test_after_a_rewrap_the_old_secret_is_not_needed_and_erased_persons_stay_erased(database) -> None:
    connections = Connections(database.dsn("users"), "users", 1)
    keys = {person: await PostgresVault(connections, plain(OLD)).key_for(person) for person in PERSONS}
    owner = await asyncpg.connect(database.owner_dsn)
    await owner.execute("UPDATE vault.keys SET wrapped = NULL, erased_at = now() WHERE person = 'usr_003'")
    done = rewrap(database, f"{NEW},{OLD}")
    assert (done.returncode, done.stdout) == (0, "6 keys wrapped again\n"), done.stderr
    assert rewrap(database, f"{NEW},{OLD}").stdout == "0 keys wrapped again\n"
    found = await PostgresVault(connections, plain(NEW)).keys_of(PERSONS)
    assert found == {person: key for person, key in keys.items() if person != "usr_003"}
    await owner.close()
    await connections.close()


async def test_a_key_that_no_secret_unwraps_is_named_and_the_others_are_rewrapped(database) -> None:
    connections = Connections(database.dsn("users"), "users", 1)
    await PostgresVault(connections, plain(LOST)).key_for("usr_a")
    await PostgresVault(connections, plain(OLD)).key_for("usr_b")
    done = rewrap(database, f"{NEW},{OLD}")
    assert (done.returncode, done.stdout) == (1, "1 keys wrapped again\n")
    assert "usr_a" in done.stderr
    assert "usr_b" not in done.stderr
    await connections.close()
