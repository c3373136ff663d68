"""The grants and migrations of all services, for the databases of this release."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from services.folders import SERVICES
from services.kit.eventstore import migrate as migrations
from services.kit.eventstore.grants import Grants

__all__ = ["DATABASE_ROLES", "GRANTS", "READ_ROLES", "WRITERS", "all_migrations", "migrate", "migrate_read"]

GRANTS: Mapping[str, Grants] = {name: import_module(f"services.{name}.grants").GRANTS for name in SERVICES}
WRITERS: Sequence[str] = tuple(name for name, grants in GRANTS.items() if grants.history)
"""Services that append events."""
DATABASE_ROLES: Sequence[str] = tuple(name for name, grants in GRANTS.items() if grants.in_event_store)
"""Services that need a password for the database of the event store."""
READ_ROLES: Sequence[str] = tuple(name for name, grants in GRANTS.items() if grants.read)
"""Services that need a password for the read database."""


async def migrate(owner_dsn: str, passwords: Mapping[str, str]) -> None:
    """Migrate the database of the event store, and make the roles of the services that have a password.

    Raises ZerocartError if the database is newer than this code, or an applied migration was changed.
    """
    await migrations.migrate(owner_dsn, passwords, GRANTS)


async def migrate_read(owner_dsn: str, passwords: Mapping[str, str]) -> None:
    """Migrate the read database; raises as `migrate` does."""
    await migrations.migrate_read(owner_dsn, passwords, GRANTS)


def all_migrations() -> list[migrations.Migration]:
    """Every migration of both databases, in the order in which they are applied."""
    return migrations.all_migrations(GRANTS)
