"""Archived events are read as if they had never moved, and a process that dies while it moves them loses nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.eventstore.archive_files import MEMBER_EVENTS_MAX, event_of, line_of, read_member
from services.kit.eventstore.archiver import check, restore
from services.kit.eventstore.port import (
    START,
    Append,
    Appended,
    Conflict,
    Duplicate,
    Mark,
    NewEvent,
    Position,
    RecordedEvent,
)
from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
from tests.conftest import execute
from tests.ports.archiving import LATER, POINTS, archive, connected
from tests.ports.test_epochs import ELSEWHERE, epochs
from tests.waiting import SECONDS_MAX

AT = datetime(2026, 1, 2, 3, 4, 5, 600000, UTC)
SAID, ENDED, NOTED = (f"zerocart.test.{what}.v1" for what in ("said", "ended", "noted"))
DATA = '{"text":  "\u2028 \\t\\u0000 a,\\"data\\": é 𝄞"}'


class Store:
    """The stores of two services and a reader, with the same folder of archives."""

    def __init__(self, database, folder: Path, read_from: str | None = None) -> None:
        self.database = database
        self.folder = folder
        place = str(folder) if read_from is None else read_from
        self.stores = {
            service: PostgresEventStore(database.dsn(service), service, archive=place)
            for service in ("orders", "payments")
        }
        self.reader = PostgresEventReader(database.dsn("projection"), archive=place)

    async def append(self, service: str, stream: str, expected: int, *types: str, published: bool = True) -> Appended:
        events = [NewEvent(type_, AT, DATA, '{"n": 1}') for type_ in types]
        done = await self.stores[service].append(Append(stream, expected, events, Mark(f"{stream}{expected}", "print")))
        assert isinstance(done, Appended)
        if published:
            outbox = self.stores[service].outbox
            await outbox.remove([row for row, _ in await outbox.pending(stream=stream, rows_max=99)])
        return done

    async def fill(self, streams: int = 20) -> None:
        """Interleaved streams of two services; those with an even number are finished."""
        for last in (False, True):
            for n in range(streams):
                for service in ("orders", "payments"):
                    ends = (SAID, NOTED) if n % 2 else (ENDED, NOTED)
                    await self.append(service, f"{service}-{n}", 3 if last else 0, *(ends if last else [SAID] * 3))

    async def archive(self, **how) -> int:
        return await archive(self.database.owner_dsn, self.folder, **how)

    async def all(self, events_max: int = 7) -> list[RecordedEvent]:
        found, after, full = list[RecordedEvent](), START, True
        while full:
            page = await self.reader.read_all(after, events_max)
            found, after, full = found + page.events, page.end, page.full
        return found

    async def rows(self, sql: str) -> list:
        async with connected(self.database.owner_dsn) as connection:
            return await connection.fetch(sql)

    async def close(self) -> None:
        for each in (*self.stores.values(), self.reader):
            await each.close()


@pytest.fixture
async def store(database, tmp_path):
    one = Store(database, tmp_path)
    yield one
    await one.close()


async def test_every_read_is_the_same_before_and_after(store: Store):
    await store.fill()
    before = await store.all(1_000)
    streams = {service: await store.stores[service].read(f"{service}-4") for service in store.stores}
    both = await store.reader.read_streams(["orders-4", "orders-6", "payments-4", "orders-5"])
    assert await store.archive(events_max=30) == 100
    assert len(await store.rows("SELECT FROM log.archives")) > 1
    assert {row["stream"] for row in await store.rows("SELECT stream FROM log.events")} == {
        f"{service}-{n}" for service in store.stores for n in range(1, 20, 2)
    }
    for events_max in (1, 2, 7, 49, 1_000):
        assert await store.all(events_max) == before
    for service, events in streams.items():
        assert await store.stores[service].read(f"{service}-4") == events
        assert await store.stores[service].read(f"{service}-4", 3) == events[3:]
        async with store.stores[service].transaction() as transaction:
            assert await transaction.read(f"{service}-4") == events
    assert await store.reader.read_streams(["orders-4", "orders-6", "payments-4", "orders-5"]) == both
    assert await store.reader.end() == before[-1].position
    assert await store.archive() == 0, "there is nothing left to archive"


async def test_pages_of_types_and_pages_of_few_bytes_are_the_same(store: Store):
    await store.fill(6)
    before = await store.all()
    await store.archive(events_max=10)
    ended = [event for event in before if event.type == ENDED]
    page = await store.reader.read_types(START, before[-1].position, [ENDED], 4)
    assert (page.events, page.end, page.full) == (ended[:4], ended[3].position, True)
    rest = await store.reader.read_types(page.end, before[-1].position, [ENDED], 99)
    assert (rest.events, rest.end, rest.full) == (ended[4:], before[-1].position, False)
    small = PostgresEventReader(store.database.dsn("projection"), page_bytes_max=100, archive=str(store.folder))
    found, after, full = list[RecordedEvent](), START, True
    while full:
        page = await small.read_all(after, 99)
        assert len(page.events) <= 100 // len(DATA) + 1
        found, after, full = found + page.events, page.end, page.full
    assert found == before
    assert await small.read_all(before[3].position, 2) == await store.reader.read_all(before[3].position, 2)
    await small.close()


async def test_a_page_of_rare_types_goes_through_a_bounded_number_of_archived_events(store: Store):
    """Else building a view whose types are rare would read all files within one transaction of the read database."""
    await store.fill(6)
    before = await store.all()
    await store.archive(events_max=10)
    archived = [event for event in before if event.stream[-1] in "024"]
    bounded = PostgresEventReader(store.database.dsn("projection"), archive=str(store.folder), passed_max=9)
    found, after, pages = list[RecordedEvent](), START, 0
    while after < before[-1].position:
        page = await bounded.read_types(after, before[-1].position, [ENDED], 99)
        assert len([event for event in archived if after < event.position <= page.end]) <= 9
        found, after, pages = found + page.events, page.end, pages + 1
    assert found == [event for event in before if event.type == ENDED]
    await bounded.close()


async def test_a_page_reads_only_the_files_that_it_comes_to(store: Store):
    """Else a reader would keep a part of every file in memory, more than a container has."""
    for n in range(3):
        await store.append("orders", f"stream-{n}", 0, SAID, ENDED)
        await store.archive()
    first, *later = sorted(store.folder.iterdir())
    for file in later:
        file.rename(file.with_suffix(".away"))
    end = await store.reader.end()
    page = await store.reader.read_types(START, end, [SAID], 1)
    assert [event.stream for event in page.events] == ["stream-0"]
    assert [event.type for event in (await store.reader.read_all(START, 2)).events] == [SAID, ENDED]
    with pytest.raises(Unavailable, match=f"{later[0].name} cannot be read"):
        await store.reader.read_types(START, end, [SAID], 2)
    assert first.exists()


async def test_readers_at_different_places_of_a_file_do_not_send_each_other_back(store: Store):
    """Else views that are built at the same time decompress the files again and again."""
    await store.append("orders", "a", 0, *[SAID, NOTED] * (3 * MEMBER_EVENTS_MAX // 2), ENDED)
    await store.archive(events_max=9_999)
    end = await store.reader.end()
    await store.reader.read_types(START, end, [SAID], 1)  # it stays in the first member
    ahead = await store.reader.read_types(START, end, [NOTED], MEMBER_EVENTS_MAX + 1)  # up to the third
    [file] = store.folder.iterdir()
    _, second = read_member(file, 0)
    content = file.read_bytes()
    file.write_bytes(content[: second + 60] + b"?" + content[second + 61 :])
    assert len((await store.reader.read_types(START, end, [SAID], 2)).events) == 2
    assert len((await store.reader.read_types(ahead.end, end, [NOTED], 2)).events) == 2, "the second is not read again"


async def test_a_finished_stream_goes_on_and_is_archived_again(store: Store):
    await store.fill(2)
    await store.archive()
    assert isinstance(await store.stores["orders"].append(Append("orders-0", 0, [event()])), Conflict)
    assert isinstance(await store.stores["orders"].append(Append("orders-0", 4, [event()])), Conflict)
    await store.append("orders", "orders-0", 5, NOTED)
    before = await store.all()
    assert [each.version for each in await store.stores["orders"].read("orders-0")] == [1, 2, 3, 4, 5, 6]
    assert await store.archive() == 1, "only a note came after the event that finished the stream"
    await store.append("orders", "orders-0", 6, SAID)
    assert await store.archive() == 0, "the stream is not finished any more"
    await store.append("orders", "orders-0", 7, ENDED)
    assert await store.archive() == 2
    assert [each.version for each in await store.stores["orders"].read("orders-0")] == list(range(1, 9))
    assert (await store.all())[: len(before)] == before


async def test_a_repeat_of_an_archived_append_gets_the_first_answer(store: Store):
    first = await store.append("orders", "a", 0, ENDED)
    await store.archive()
    found = await store.stores["orders"].append(Append("a", 0, [event()], Mark("a0", "print")))
    assert isinstance(found, Duplicate)
    assert found == await store.stores["orders"].find_mark("a0")
    assert (found.stream, found.version, found.position) == ("a", 1, first.position)


async def test_events_that_are_young_or_not_published_stay(store: Store):
    await store.append("orders", "a", 0, ENDED)
    await store.append("orders", "b", 0, ENDED, published=False)
    await store.append("orders", "c", 0, ENDED)
    assert await store.archive(before=AT) == 0
    assert await store.archive() == 1
    [(row, events)] = await store.stores["orders"].outbox.pending(rows_max=9)
    assert (row.stream, len(events)) == ("b", 1)
    await store.stores["orders"].outbox.remove([row])
    assert await store.archive() == 2


async def test_streams_are_looked_at_again_when_the_rule_changes(store: Store, monkeypatch):
    await store.append("orders", "a", 0, SAID)
    assert await store.archive() == 0
    from tests.ports import archiving

    monkeypatch.setitem(archiving.RULES, "orders", archiving.Finished((SAID,)))
    assert await store.archive() == 1


@pytest.mark.parametrize("point", POINTS)
async def test_a_process_that_is_killed_loses_and_doubles_nothing(store: Store, point: str):
    await store.fill(4)
    before = await store.all()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.ports.archiving", store.database.owner_dsn, str(store.folder), point
    )
    assert await child.wait() == -9
    assert await store.all() == before
    assert len(await store.rows("SELECT FROM log.events")) == len(before)
    assert len(list(store.folder.iterdir())) == 1, "the file is complete, and nobody reads it"
    async with asyncio.timeout(SECONDS_MAX):  # until Postgres knows that the process is dead
        while True:
            try:
                assert await store.archive() == 20
                break
            except ZerocartError as error:
                assert error.code == "archiving-already"
                await asyncio.sleep(0.05)
    assert await store.all() == before


async def test_restored_events_are_where_they_were_and_can_be_archived_again(store: Store):
    await store.fill(4)
    before = await store.all()
    table = "SELECT * FROM log.events ORDER BY position"
    rows = await store.rows(table)
    await store.archive()
    async with connected(store.database.owner_dsn) as connection:
        [file] = await connection.fetch("SELECT file FROM log.archives")
        assert await restore(connection, store.folder, file["file"]) == 20
        with pytest.raises(ZerocartError, match="not recorded"):
            await restore(connection, store.folder, file["file"])
    assert await store.rows(table) == rows
    assert await store.all() == before
    assert await store.archive() == 20, "the same file again"
    assert await store.all() == before
    assert len(list(store.folder.iterdir())) == 1


async def test_readers_see_every_event_once_while_events_move_to_and_fro(store: Store):
    await store.fill(8)
    before = await store.all()
    streams = await store.stores["orders"].read("orders-2")
    moving = asyncio.create_task(to_and_fro(store, 6))
    rounds = 0
    while not moving.done():
        assert await store.all(3 + rounds % 9) == before
        assert await store.stores["orders"].read("orders-2") == streams
        rounds += 1
    await moving
    assert rounds > 1


async def to_and_fro(store: Store, times: int) -> None:
    for _ in range(times):
        await store.archive(events_max=10)
        async with connected(store.database.owner_dsn) as connection:
            for row in await connection.fetch("SELECT file FROM log.archives"):
                await restore(connection, store.folder, row["file"])


async def test_missing_and_damaged_files_are_found_and_reads_that_need_them_are_refused(store: Store):
    await store.fill(4)
    await store.archive()
    [file] = store.folder.iterdir()
    async with connected(store.database.owner_dsn) as connection:
        assert await check(connection, store.folder) == []
        content = file.read_bytes()
        for damaged in (content[:-9], content[:60] + b"?" + content[61:]):
            file.write_bytes(damaged)
            [fault] = await check(connection, store.folder)
            assert f"{file.name}: not the file that was written" in fault
            with pytest.raises(Unavailable, match=f"{file.name} cannot be read"):
                await store.all()
            with pytest.raises(ZerocartError, match="its checksum differs"):
                await restore(connection, store.folder, file.name)
        file.unlink()
        assert "missing" in (await check(connection, store.folder))[0]
    with pytest.raises(Unavailable, match="mount the folder of the archives, and name it in ZEROCART_ARCHIVE"):
        await store.stores["orders"].read("orders-2")
    assert len(await store.stores["orders"].read("orders-1")) == 5, "what is in the table can be read"
    file.write_bytes(content)
    assert len(await store.stores["orders"].read("orders-2")) == 5


@pytest.mark.parametrize("fault", ["empty", "one member", "two members", "another one"])
async def test_no_event_is_missing_from_a_page_or_a_stream_because_a_file_looks_whole(store: Store, fault: str):
    """A file that ends between two members is a valid series of gzip members, and so is a copy of another file."""
    for n in range(2):
        for stream in ("a", "b"):
            await store.append("orders", f"{stream}{n}", 0, *[SAID] * (2 * MEMBER_EVENTS_MAX), ENDED)
        await store.archive(events_max=9_999)
    await store.append("orders", "c", 0, SAID)
    one, other = sorted(store.folder.iterdir())
    _, first = read_member(one, 0)
    _, second = read_member(one, first)
    whole = one.read_bytes()
    ends = {"empty": 0, "one member": first, "two members": second}
    one.write_bytes(other.read_bytes() if fault == "another one" else whole[: ends[fault]])
    with pytest.raises(Unavailable, match=f"{one.name} cannot be read"):
        await store.all(100_000)
    with pytest.raises(Unavailable, match=f"{one.name} cannot be read"):
        await store.all(100)
    for stream in ("a0", "b0"):
        with pytest.raises(Unavailable, match=f"{one.name} cannot be read"):
            await store.stores["orders"].read(stream)
        with pytest.raises(Unavailable, match=f"{one.name} cannot be read"):
            await store.reader.read_streams([stream, "a1"])
    assert len(await store.stores["orders"].read("a1")) == 2 * MEMBER_EVENTS_MAX + 1
    one.write_bytes(whole)
    assert len(await store.all(100)) == 4 * (2 * MEMBER_EVENTS_MAX + 1) + 1


async def test_a_full_disk_archives_nothing_and_says_so(store: Store):
    await store.fill(2)
    before = await store.all()
    (store.folder / "archive.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        await store.archive()
    assert await store.all() == before
    (store.folder / "archive.part").unlink()
    assert await store.archive() == 10
    assert await store.all() == before


async def test_a_process_without_a_folder_says_so(store: Store):
    await store.fill(2)
    await store.archive()
    homeless = Store(store.database, store.folder, read_from="")
    with pytest.raises(Unavailable, match="ZEROCART_ARCHIVE is not set"):
        await homeless.stores["orders"].read("orders-0")
    await homeless.close()
    with pytest.raises(ZerocartError, match="does not exist: make or mount it"):
        await archive(store.database.owner_dsn, store.folder / "nowhere")


async def test_only_one_process_moves_events_at_a_time(store: Store):
    await store.fill(2)
    async with connected(store.database.owner_dsn) as other:
        await restore_nothing(other, store.folder)
        with pytest.raises(ZerocartError, match="another process moves events"):
            await store.archive()
    assert await store.archive() == 10


async def restore_nothing(connection, folder: Path) -> None:
    with pytest.raises(ZerocartError, match="not recorded"):
        await restore(connection, folder, "no-such-file")


async def test_a_new_epoch_does_not_take_archived_events_for_lost(store: Store):
    await store.append("orders", "a", 0, ENDED)
    last = await store.append("payments", "a", 0, ENDED)
    assert await store.archive() == 2
    assert await store.reader.end(last.position) == last.position
    await execute(store.database.owner_dsn, ELSEWHERE)
    after = await store.append("orders", "b", 0, SAID)
    assert await epochs(store.database) == [(1, 0), (2, last.position)]
    page = await store.reader.read_all(last.position, 9)
    assert [each.position for each in page.events] == [after.position]
    assert len(await store.all()) == 3


async def test_the_file_is_json_lines_in_the_order_of_positions(store: Store):
    await store.fill(4)
    await store.archive()
    [file] = store.folder.iterdir()
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).decode().split("\n")[:-1]]
    assert [line["position"] for line in lines] == sorted(line["position"] for line in lines)
    assert list(lines[0]) == ["position", "time", "service", "stream", "version", "type", "data", "meta"]
    assert (lines[0]["data"], lines[0]["time"]) == (json.loads(DATA), "2026-01-02T03:04:05.600000+00:00")
    [row] = await store.rows("SELECT * FROM log.archives")
    assert (row["events"], row["bytes"]) == (len(lines), file.stat().st_size)


async def test_whitespace_that_the_format_uses_becomes_spaces(store: Store):
    odd = NewEvent(ENDED, AT, '{\n\t"a":\r1}', "{\n}")
    await store.stores["orders"].append(Append("a", 0, [odd]))
    outbox = store.stores["orders"].outbox
    await outbox.remove([row for row, _ in await outbox.pending(rows_max=9)])
    await store.archive(before=LATER)
    [found] = await store.stores["orders"].read("a")
    assert (found.data, found.meta) == ('{  "a": 1}', "{ }")


text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(stream=text, data=text, at=st.datetimes(timezones=st.just(UTC)), position=st.integers(1, 2**63 - 1))
def test_a_line_gives_its_event_back(stream: str, data: str, at: datetime, position: int):
    texts = json.dumps({"text": data}, ensure_ascii=False), json.dumps([data])
    written = RecordedEvent("orders", stream, 3, Position(position), SAID, at, *texts)
    line = line_of(written).decode()
    assert line.count("\n") == 1
    assert event_of(line[:-1]) == written


def event() -> NewEvent:
    return NewEvent(SAID, AT, DATA, "{}")
