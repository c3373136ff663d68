"""`python -m services.users.rewrap`: wraps every person's key with the first of ZEROCART_VAULT_KEYS.

Then the other keys in that secret can be removed (docs/deploy.md). It runs with the settings of `users`, whose role can
write the vault. If none of the secrets unwraps some keys, it names their persons and exits with 1.
"""

from __future__ import annotations

import asyncio
import sys

from services.kit.config.settings import Settings
from services.kit.domain.errors import ZerocartError
from services.kit.eventstore.connections import Connections
from services.kit.privacy.vault import PostgresVault

__all__ = ["main"]

NAMED_MAX = 20


async def _rewrap() -> tuple[int, list[str]]:
    settings = Settings.from_environment("users")
    settings.require(ZEROCART_DATABASE_URL=settings.database_url(), ZEROCART_VAULT_KEYS=settings.vault_keys())
    connections = Connections(settings.database_url, "users", 1)
    try:
        return await PostgresVault(connections, settings.vault_keys).rewrap()
    finally:
        await connections.close()


def main() -> None:
    """Wrap all keys again and print their number."""
    try:
        done, locked = asyncio.run(_rewrap())
    except ZerocartError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{done} keys wrapped again\n")
    if locked:
        sys.exit(f"no secret in ZEROCART_VAULT_KEYS unwraps {len(locked)} keys, of: {', '.join(locked[:NAMED_MAX])}")


if __name__ == "__main__":
    main()
