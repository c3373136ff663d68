"""A local cluster whose file of secrets is lost or damaged does not start with new ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kit.config.secrets import plain
from services.kit.eventstore.connections import Connections
from services.kit.privacy.vault import PostgresVault
from tools.knative_local.process import ServerFailedError
from tools.knative_local.secrets import local_secrets, require_vault_key
from tools.knative_local.state import State, StateFolderError


async def keep_a_person(state: State, dsn: str) -> None:
    connections = Connections(plain(dsn), "users", 1)
    try:
        await PostgresVault(connections, plain(local_secrets(state)["vault-keys"])).key_for("usr_1")
    finally:
        await connections.close()


async def test_the_start_is_refused_without_the_key_of_stored_personal_data(tmp_path: Path, database) -> None:
    state = State(tmp_path)
    await require_vault_key(state, database.owner_dsn)  # a new state folder has neither keys nor persons
    await keep_a_person(state, database.dsn("users"))
    await require_vault_key(state, database.owner_dsn)

    (tmp_path / "secrets.json").unlink()
    with pytest.raises(ServerFailedError, match=r"secrets\.json does not open the personal data.*from a backup"):
        await require_vault_key(state, database.owner_dsn)
    assert not (tmp_path / "secrets.json").exists()
    local_secrets(state)  # another key
    with pytest.raises(ServerFailedError, match="does not open"):
        await require_vault_key(state, database.owner_dsn)


def test_a_damaged_file_of_the_state_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("")
    with pytest.raises(StateFolderError, match=r"secrets\.json is damaged.*put it back from a backup"):
        local_secrets(State(tmp_path))
