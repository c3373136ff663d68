"""The package `eventsource-py`: numbers from a sequence; readers stop below the oldest transaction of the server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid5

from pydantic import create_model

from tools.gauntlet.adapters.on_postgres import OnPostgres

__all__ = ["EventsourcePyStore"]

CONNECTIONS_MAX = 12
CATEGORY = "Gauntlet"


class EventsourcePyStore(OnPostgres):
    """Its `PostgreSQLEventStore`, with the tables that it ships."""

    name = "eventsource-py"
    version = version("eventsource-py")
    cannot = {  # noqa: RUF012
        "transactions": "each append is a transaction of its own",
        "epochs": "its numbers have no epochs",
    }
    events_table = "public.events"
    sequence = "public.events_global_position_seq"

    def __init__(self) -> None:
        super().__init__()
        self._ports = import_module("eventsource.ports")
        self._stream_id = import_module("eventsource.domain.stream_id").StreamId
        library = import_module("eventsource")
        event = create_model(
            "GauntletEvent",
            __base__=library.DomainEvent,
            event_type=(str, "GauntletEvent"),
            aggregate_type=(str, CATEGORY),
            text=(str, ""),
        )
        self._event = library.register_event(event)
        self._engine = None
        self._store = None
        self._versions: defaultdict[str, int] = defaultdict(int)

    async def connect(self) -> None:
        """Make its tables and connect."""
        from sqlalchemy.ext.asyncio import create_async_engine

        await self.disconnect()
        dsn = self.ground.dsn().replace("postgresql", "postgresql+asyncpg", 1)
        self._engine = create_async_engine(dsn, pool_size=CONNECTIONS_MAX)
        adapter = import_module("eventsource.adapters.postgresql").PostgreSQLEventStore
        self._store = adapter(self._engine, create_schema=True)

    async def disconnect(self) -> None:
        """Disconnect."""
        if self._engine is not None:
            await self._engine.dispose()

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append whatever the version of the stream is, because it has one writer."""
        assert self._store is not None
        number = uuid5(NAMESPACE_URL, stream)
        first = self._versions[stream] + 1
        events = [
            self._event(aggregate_id=number, aggregate_version=first + place, text=text)
            for place, text in enumerate(texts)
        ]
        await self._store.append(self._stream_id(number, CATEGORY), events, self._ports.ExpectedVersion.any_())
        self._versions[stream] += len(texts)

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """A page of its global feed."""
        assert self._store is not None
        options = self._ports.FeedReadOptions(limit=events_max)
        page = [envelope async for envelope in self._store.read_all(after, options)]
        return [envelope.event.text for envelope in page], page[-1].position if page else after
