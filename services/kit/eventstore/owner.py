"""Connections of the owner of a database, for setup and archiving: they depend on no default of the server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from services.kit.domain.errors import ZerocartError
from services.kit.telemetry.logging import log

if TYPE_CHECKING:
    from asyncpg import Connection

__all__ = ["SETTINGS", "owner_connection"]

SETTINGS = {
    "search_path": "public",
    "default_transaction_isolation": "read committed",
    # a migration, and moving events to a file, take longer than a request
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "standard_conforming_strings": "on",
    "synchronous_commit": "on",
    "password_encryption": "scram-sha-256",  # a role whose password has another encryption may not be able to connect
}
ALSO = "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout'"
"""Postgres has this setting since 17."""
FACTS = """
    SELECT
        current_database() AS name,
        current_setting('server_encoding') AS encoding,
        current_setting('transaction_read_only')::boolean AS read_only,
        ARRAY(
            SELECT s.name FROM pg_settings AS s WHERE s.name IN ('fsync', 'full_page_writes') AND s.setting = 'off'
        ) AS unsafe
"""


@asynccontextmanager
async def owner_connection(dsn: str, name: str, *, only_reads: bool = False) -> AsyncGenerator[Connection]:
    """A session of the owner with this application name; ZerocartError if the database cannot be used for zerocart.

    A session that `only_reads` may be one of a standby.
    """
    import asyncpg

    connection = await asyncpg.connect(dsn, server_settings={"application_name": name, **SETTINGS})
    try:
        await connection.execute(ALSO)
        await _check(connection, only_reads)
        yield connection
    finally:
        await connection.close()


async def _check(connection: Connection, only_reads: bool) -> None:
    [row] = await connection.fetch(FACTS)
    if row["encoding"] != "UTF8":
        raise ZerocartError(
            "bad-database",
            f"the database {row['name']} has the encoding {row['encoding']}, which cannot store every text of an order:"
            " create a database with ENCODING 'UTF8', and restore a dump into it",
        )
    if row["read_only"] and not only_reads:
        raise ZerocartError(
            "read-only-database",
            f"the database {row['name']} accepts no changes: it is a standby, or default_transaction_read_only is set",
        )
    for setting in row["unsafe"]:
        log(
            f"{setting} is off: if the machine fails, Postgres can lose what it has committed, or the whole database."
            f" Set {setting} = on",
            level=logging.WARNING,
            database=row["name"],
        )
