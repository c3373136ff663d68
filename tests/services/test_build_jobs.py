"""How the projection starts the process that builds views."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from services.kit.config.secrets import plain
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.postgres import PostgresEventReader
from services.projection.building import Builder
from services.projection.jobs import BuildSink
from services.projection.view_admin import ViewAdmin
from tests.services.read_side import created, pages_of, running


@asynccontextmanager
async def sink(status: bytes) -> AsyncGenerator[tuple[str, list[bytes]]]:
    """The address of a JobSink that answers with this status, and the headers of its requests."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as one:
        yield f"http://127.0.0.1:{one.sockets[0].getsockname()[1]}/zerocart/build-views", heads


async def test_a_job_sink_gets_an_event_whose_source_and_id_can_be_labels_of_a_job():
    async with sink(b"202 Accepted") as (url, heads):
        await BuildSink(url, plain("token")).start()
        await BuildSink(url, plain("")).start()
    lines = [dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line) for head in heads]
    assert [each.get("authorization") for each in lines] == ["bearer token", None]
    assert heads[0].startswith(b"POST /zerocart/build-views HTTP/1.1\r\n")
    assert {each["ce-specversion"] for each in lines} == {"1.0"}
    for each in lines:
        assert each["ce-source"].replace("-", "").isalnum()
        assert each["ce-id"].isalnum()
        assert len(each["ce-id"]) <= 63
    assert lines[0]["ce-id"] != lines[1]["ce-id"]


@pytest.mark.parametrize("status", [b"400 Bad Request", b"500 Internal Server Error"])
async def test_a_job_sink_that_does_not_start_the_job_is_unavailable(status):
    async with sink(status) as (url, _):
        with pytest.raises(Unavailable):
            await BuildSink(url, plain("")).start()
    with pytest.raises(Unavailable):
        await BuildSink(url, plain("")).start()


class FailingJobs:
    """Jobs that cannot be started until `mended`."""

    def __init__(self) -> None:
        self.mended = False
        self.started = 0

    async def start(self) -> None:
        if not self.mended:
            raise Unavailable("build-not-started", "the JobSink is away")
        self.started += 1


async def test_a_rebuild_whose_job_cannot_be_started_stays_recorded_and_starts_with_the_next_request(database) -> None:
    async with running(database) as side:
        await side.show(await side.order("ord_1", created("ord_1")))
        reader = PostgresEventReader(database.dsn("projection"))
        pages = pages_of(database, reader)
        jobs = FailingJobs()
        admin = ViewAdmin(pages, Builder(pages), jobs)
        with pytest.raises(Unavailable):
            await admin.rebuild("orders", "switch")
        jobs.mended = True
        await admin.wait("orders", 0)
        assert jobs.started == 1
        await admin.wait("orders", 0)
        assert jobs.started == 1  # it is given time to begin
        await Builder(pages).build_all()
        assert [each.state for each in await pages.database.versions() if each.view == "orders"] == ["kept", "serving"]
        await pages.database.close()
        await reader.close()
