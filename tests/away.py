"""A database that cannot be reached for a while."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg

__all__ = ["database_away"]

END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1"


@asynccontextmanager
async def database_away(admin_dsn: str, name: str) -> AsyncGenerator[None]:
    """The database has another name meanwhile: its sessions end, and new ones are refused."""
    await _rename(admin_dsn, name, f"{name}_away")
    try:
        yield
    finally:
        await _rename(admin_dsn, f"{name}_away", name)


async def _rename(admin_dsn: str, old: str, new: str) -> None:
    connection = await asyncpg.connect(admin_dsn)
    try:
        while True:
            await connection.execute(END_SESSIONS.replace("$1", f"'{old}'"))
            try:
                await connection.execute(f'ALTER DATABASE "{old}" RENAME TO "{new}"')
            except asyncpg.ObjectInUseError:  # somebody connected in between
                continue
            return
    finally:
        await connection.close()
