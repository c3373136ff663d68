"""`python -m services.users.rewrap`: wraps every person's key with the first of ZEROCART_VAULT_KEYS.

Then the other keys in that secret can be removed (docs/deploy.md). It runs with the settings of `users`, whose role can
write the vault. If none of the secrets unwraps some keys, it names their persons and exits with 1. With
`--erase-locked` it erases these persons instead, for an operator who has lost a vault key for good
(docs/runbooks.md).
"""

from __future__ import annotations

import argparse
import asyncio
import sys

from services.kit.config.settings import Settings
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.connections import Connections
from services.kit.privacy.vault import PostgresVault

__all__ = ["main"]

NAMED_MAX = 20


async def _rewrap(*, erase_locked: bool) -> tuple[int, list[str]]:
    settings = Settings.from_environment("users")
    settings.require(ZEROCART_DATABASE_URL=settings.database_url(), ZEROCART_VAULT_KEYS=settings.vault_keys())
    connections = Connections(settings.database_url, "users", 1)
    try:
        return await PostgresVault(connections, settings.vault_keys).rewrap(erase_locked=erase_locked)
    finally:
        await connections.close()


def main() -> None:
    """Wrap all keys again and print their number."""
    parser = argparse.ArgumentParser(prog="python -m services.users.rewrap", description="Wrap all keys of persons.")
    parser.add_argument("--erase-locked", action="store_true", help="erase the persons whose key no secret unwraps")
    erase_locked: bool = parser.parse_args().erase_locked
    try:
        done, locked = asyncio.run(_rewrap(erase_locked=erase_locked))
    except ZerocartError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{done} keys wrapped again\n")
    named = ", ".join(locked[:NAMED_MAX])
    if locked and erase_locked:
        sys.stdout.write(f"{len(locked)} persons erased: {named}\n")
    elif locked:
        sys.exit(
            f"no secret in ZEROCART_VAULT_KEYS unwraps {len(locked)} keys, of: {named}. Add the secret that wrapped"
            " them. If it is lost for good, --erase-locked erases these persons"
        )


if __name__ == "__main__":
    main()
