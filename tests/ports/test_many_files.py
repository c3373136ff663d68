"""A page of the global order names few files of a large archive, and misses no event in any of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from services.kit.eventstore import archiver
from services.kit.eventstore.connections import statement
from services.kit.eventstore.port import START, RecordedEvent
from services.kit.eventstore.postgres import FILES_AHEAD_MAX
from tests.ports.test_archive import ENDED, NOTED, SAID, Store

LONG = FILES_AHEAD_MAX + 2
FILES = 3 * FILES_AHEAD_MAX


@pytest.fixture
async def store(database, tmp_path: Path) -> AsyncGenerator[Store]:
    store = Store(database, tmp_path)
    yield store
    await store.close()


async def archived(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[RecordedEvent]:
    """Archive each finished stream to a file of its own; the events as they were in the table.

    Some streams are as long as the whole history, so that their files begin before the others and end after them.
    """
    for n in range(LONG):
        await store.append("orders", f"long-{n}", 0, SAID)
    for n in range(FILES):
        await store.append("payments", f"short-{n}", 0, SAID, NOTED, SAID, ENDED)
        await store.append("payments", f"stays-{n}", 0, SAID)
    for n in range(LONG):
        await store.append("orders", f"long-{n}", 1, ENDED)
    before = await store.all(999)
    monkeypatch.setattr(archiver, "PAGE_EVENTS_MAX", 1)
    await store.archive(events_max=1)
    assert len(list(store.folder.iterdir())) == LONG + FILES
    return before


async def test_every_page_has_its_events(store: Store, monkeypatch):
    before = await archived(store, monkeypatch)
    for events_max in (1, 2, 7, 50, 999):
        assert await store.all(events_max) == before
    end = await store.reader.end()
    for types in ([ENDED], [NOTED, SAID], ["zerocart.test.never.v1"]):
        found, after = list[RecordedEvent](), START
        while after < end:
            page = await store.reader.read_types(after, end, types, 5)
            assert page.end > after
            found, after = found + page.events, page.end
        assert found == [each for each in before if each.type in types]


async def test_a_page_names_the_files_under_way_and_a_few_that_follow(store: Store, monkeypatch):
    before = await archived(store, monkeypatch)
    after, end = before[LONG].position, await store.reader.end()
    rows = await store.reader.connections.fetch(statement("read_page"), after, end, None, 9, 99_999, FILES_AHEAD_MAX)
    files = [row["stream"] for row in rows if row["position"] is None]
    assert len(files) == LONG + 1 + FILES_AHEAD_MAX
