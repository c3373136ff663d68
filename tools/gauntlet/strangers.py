"""Transactions of others on the same server: each is left open while the store is written and read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

from tools.gauntlet.servers import DATABASE, STRANGERS, Ground, connect, run_sql

__all__ = ["STRANGERS_DO", "stranger"]

PREPARED = "stranger"
STRANGERS_DO: Mapping[str, tuple[str, Sequence[str]]] = {
    "has an id, in another database": (STRANGERS, ["SELECT pg_current_xact_id()"]),
    "inserted": (DATABASE, ["INSERT INTO public.stranger VALUES (2)"]),
    "holds FOR UPDATE": (DATABASE, ["SELECT * FROM public.stranger FOR UPDATE"]),
    "holds FOR KEY SHARE": (DATABASE, ["SELECT * FROM public.stranger FOR KEY SHARE"]),
    "made a temporary table": (DATABASE, ["CREATE TEMPORARY TABLE mine AS SELECT 1 AS n"]),
    "builds an index": (DATABASE, ["CREATE INDEX ON public.stranger (n)"]),
    "is prepared": (DATABASE, ["INSERT INTO public.stranger VALUES (2)", f"PREPARE TRANSACTION '{PREPARED}'"]),
    "is prepared, in another database": (
        STRANGERS,
        ["INSERT INTO public.stranger VALUES (2)", f"PREPARE TRANSACTION '{PREPARED}'"],
    ),
    "makes a backup": (
        DATABASE,
        ["SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "LOCK TABLE {events} IN ACCESS SHARE MODE"],
    ),
    "holds FOR KEY SHARE on an event": (DATABASE, ["SELECT 1 FROM {events} LIMIT 1 FOR KEY SHARE"]),
}
"""What strangers do: the database, and the statements after BEGIN."""


@asynccontextmanager
async def stranger(ground: Ground, does: str, events_table: str) -> AsyncGenerator[None]:
    """A transaction of a stranger that is open as long as the body runs."""
    database, statements = STRANGERS_DO[does]
    connection = await connect(ground.dsn(database))
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS public.stranger (n int)")
        await connection.execute("INSERT INTO public.stranger VALUES (1)")
        await connection.execute("BEGIN")
        for statement in statements:
            await connection.execute(statement.replace("{events}", events_table))
        yield
    finally:
        await connection.close()
        if "is prepared" in does:
            await run_sql(ground.dsn(database), f"ROLLBACK PREPARED '{PREPARED}'")
