"""The package `eventsourcing`, with a table lock for each append (its default) and with its database functions.

It needs `psycopg` and `psycopg-pool`. Their licence is the LGPL, so no extra of this project names them: install them
yourself to run this adapter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from uuid import NAMESPACE_URL, uuid5

from tools.gauntlet.adapters.on_postgres import OnPostgres
from tools.gauntlet.adapters.threads import in_thread
from tools.gauntlet.servers import DATABASE

__all__ = ["EventsourcingFunctionsStore", "EventsourcingStore"]

CONNECTIONS_MAX = 20


class EventsourcingStore(OnPostgres):
    """Its `PostgresApplicationRecorder`, which locks the table of the events for each append."""

    name = "eventsourcing"
    version = version("eventsourcing")
    cannot = {  # noqa: RUF012
        "transactions": "each append is a transaction of its own",
        "epochs": "its numbers have no epochs",
    }
    events_table = "public.stored_events"
    sequence = "public.stored_events_notification_id_seq"
    with_functions = False

    def __init__(self) -> None:
        super().__init__()
        self._postgres = import_module("eventsourcing.postgres")
        self._event = import_module("eventsourcing.persistence").StoredEvent
        self._datastore = None
        self._recorder = None
        self._versions: defaultdict[str, int] = defaultdict(int)

    async def connect(self) -> None:
        """Make its table and connect."""
        await self.disconnect()
        server = self.ground.server
        self._datastore = self._postgres.PostgresDatastore(
            DATABASE,
            "127.0.0.1",
            server.port,
            "postgres",
            server.password,
            pool_size=CONNECTIONS_MAX,
            schema="public",
            pre_ping=True,
            enable_db_functions=self.with_functions,
        )
        self._recorder = self._postgres.PostgresApplicationRecorder(self._datastore)
        await in_thread(self._recorder.create_table)

    async def disconnect(self) -> None:
        """Disconnect."""
        if self._datastore is not None:
            await in_thread(self._datastore.close)

    async def append(self, stream: str, texts: Sequence[str]) -> None:
        """Append after the last version that was appended."""
        recorder, number = self._recorder, uuid5(NAMESPACE_URL, stream)
        assert recorder is not None
        first = self._versions[stream] + 1
        events = [self._event(number, first + place, "gauntlet", text.encode()) for place, text in enumerate(texts)]
        self._versions[stream] += len(texts)  # also if the outcome stays unknown: a version is used once
        await in_thread(lambda: recorder.insert_events(events))

    async def read(self, after: object, events_max: int) -> tuple[list[str], object]:
        """A page of its notifications."""
        recorder = self._recorder
        assert recorder is not None
        page = await in_thread(lambda: recorder.select_notifications(after, events_max, inclusive_of_start=False))
        return [each.state.decode() for each in page], page[-1].id if page else after


class EventsourcingFunctionsStore(EventsourcingStore):
    """The same with `enable_db_functions`, which appends without the lock."""

    name = "eventsourcing, database functions"
    with_functions = True
