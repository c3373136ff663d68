"""Counts the events of the log, each once, into the metrics of operations and its table of open runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from services.kit.eventstore.connections import statement
from services.kit.eventstore.port import START

__all__ = ["LAG_EVENTS_MAX", "VIEWS", "FetchMappings", "count", "sql"]

LAG_EVENTS_MAX = 100_000
VIEWS = """
    SELECT DISTINCT ON (view) view, position, stopped_at, wakes
    FROM view_versions WHERE state <> 'kept' ORDER BY view, state = 'serving' DESC
"""
"""Selects the serving version of each view, or its first version while the projection still builds it."""

PAGE_EVENTS = 20_000


class Row(Protocol):
    """A row of a statement."""

    def __getitem__(self, name: str, /) -> Any:
        """The value of a column."""
        ...


class Fetch(Protocol):
    """Runs one statement in a transaction of its own."""

    def __call__(self, text: str, /, *arguments: object) -> Awaitable[Sequence[Row]]:
        """Run the statement and return its rows."""
        ...


FetchMappings = Callable[..., Awaitable[Sequence[Mapping[str, Any]]]]
"""The same, with rows that are mappings."""


async def count(fetch: Fetch) -> int:
    """Count what the log has got since it was last counted; the number of events."""
    total = 0
    [horizon] = await fetch(statement("horizon"), START)
    while events := (await fetch(sql("count"), PAGE_EVENTS, horizon["horizon"]))[0]["events"]:
        total += events
    return total


@cache
def sql(name: str) -> str:
    """The text of a statement of operations."""
    return (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
