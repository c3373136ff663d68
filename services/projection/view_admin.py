"""What operators do with views over REST: rebuild, switch, drop, skip an event, retry.

Whatever may take long is recorded in the read database and left to the Job that builds views (build.py).
"""

from __future__ import annotations

import asyncio
import logging

from services.kit.domain.errors import NotFound, RuleViolation, Unavailable
from services.kit.eventstore.port import Position
from services.kit.telemetry.logging import log
from services.projection.building import Builder
from services.projection.jobs import BuildJobs
from services.projection.pages import Pages
from services.projection.versions import Session, Then, Version, next_number, numbered, of_view, version_in
from services.projection.view import View

__all__ = ["ViewAdmin"]

RETRY_SECONDS = 0.5
POLL_SECONDS = 0.1
JOB_STARTS_SECONDS = 60.0
"""A Job that was started is given so long to begin before another one is started."""


class ViewAdmin:
    """Records what is to be done with the views, and starts the Job that does it."""

    def __init__(self, pages: Pages, builder: Builder, jobs: BuildJobs) -> None:
        self._pages = pages
        self._builder = builder
        self._jobs = jobs
        self._database = pages.database
        self._preparing = asyncio.Lock()
        self._prepared = False
        self._job_started_at = -JOB_STARTS_SECONDS
        self._start: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Create the versions that this code needs, once in a process, and see to it that they are built."""
        async with self._preparing:
            if not self._prepared:
                await self._builder.create_missing()
                await self.ensure_build()
                self._prepared = True

    async def prepare_again(self) -> None:
        """Prepare once more: the read database was lost while this process ran."""
        self._prepared = False
        await self.prepare()

    async def start(self) -> None:
        """Prepare in the background: a database that is away must not keep the process from starting."""
        self._start = asyncio.create_task(self._prepare_until_done())

    async def close(self) -> None:
        """Stop preparing."""
        if self._start is not None:
            self._start.cancel()
            await asyncio.gather(self._start, return_exceptions=True)

    async def ensure_build(self) -> None:
        """Start a Job if something is to be built and no process builds; a failure is logged, the next call retries."""
        now = asyncio.get_running_loop().time()
        if now - self._job_started_at < JOB_STARTS_SECONDS or not await self._builder.unfinished():
            return
        try:
            await self._start_job()
        except Unavailable as error:
            log("the Job that builds views cannot be started", level=logging.WARNING, detail=error.detail)

    async def rebuild(self, name: str, then: Then) -> None:
        """Have the view built again from the event store; `then` says what is done when the new version is level."""
        await self.prepare()
        view, epoch = self._view(name), await self._pages.store.epoch()
        async with self._database.making() as session:
            building = version_in(session.versions, name, "building")
            if building is None:
                await session.make(view, next_number(of_view(session.versions, name)), "building", then, epoch)
            elif not self._pages.feeds(building):
                raise RuleViolation(
                    "built-elsewhere",
                    f"Another release of zerocart is building the view {name}. Try again when the build has ended.",
                )
            else:
                await session.set_next(building, then)
        await self._start_job()

    async def rebuild_cut(self) -> None:
        """Have each view built again that shows events which the event store has lost after a restore or a failover.

        Until the new version serves, the old one shows the lost events as well as the new ones.
        """
        versions = [each for each in await self._database.versions() if self._pages.feeds(each)]
        for seen in sorted(versions, key=lambda each: each.state == "serving"):
            if (cut := await self._pages.cut_at(seen)) is None:
                continue
            log("a view shows lost events: building it again", level=logging.ERROR, view=seen.view, cut_at=str(cut))
            if seen.state == "serving":
                await self.rebuild(seen.view, "switch")
            async with self._database.version(seen.view, seen.version) as session:
                for version in session.versions:
                    await self._leave_lost(session, version)

    async def _leave_lost(self, session: Session, version: Version) -> None:
        """Feed a version that serves from the end of the lost events on; drop another one. Unless that was done."""
        if (cut := await self._pages.cut_at(version)) is None:
            return
        if version.state == "serving":
            await session.move([version], cut)
        else:
            await session.drop(version)

    async def wait(self, name: str, seconds: float) -> None:
        """Return when no build of the view is under way, or after so long."""
        await self.prepare()
        await self.ensure_build()
        deadline = asyncio.get_running_loop().time() + seconds
        while await self._is_busy(name):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(POLL_SECONDS)

    async def _is_busy(self, name: str) -> bool:
        """Whether a version of the view is being built, or a switch has not yet dropped the version kept before."""
        # the builds first: one that ends between the two reads leaves a kept version, which the second read must see
        if any(each.view == name for each in await self._builder.unfinished()):
            return True
        return sum((each.view, each.state) == (name, "kept") for each in await self._database.versions()) > 1

    async def switch(self, name: str, number: int) -> None:
        """Let a version serve once it is level with the one that does; RuleViolation if this code cannot feed it."""
        await self.prepare()
        view = self._view(name)
        version = numbered(await self._database.versions(), name, number)
        if not self._pages.feeds(version):
            raise RuleViolation(
                "other-revision",
                f"This release cannot feed revision {version.revision} of {name}. Rebuild the view.",
            )
        if version.state != "serving":
            await self._builder.bring_near(view, number)
            if not await self._builder.serve_first(view, number):
                await self._builder.switch(view, number)

    async def drop(self, name: str, number: int) -> None:
        """Drop a version that does not serve."""
        self._view(name)
        async with self._database.view(name) as session:
            version = numbered(session.versions, name, number)
            if version.state == "serving":
                raise RuleViolation(
                    "version-serves", f"Version {number} of {name} serves. Switch to another one first."
                )
            await session.drop(version)

    async def leave_out(self, name: str, position: Position, reason: str, who: str) -> None:
        """Leave out the event at which a view has stopped, and go on."""
        self._view(name)
        async with self._database.view(name) as session:
            if str(position) not in {each.stopped_at for each in session.versions}:
                raise RuleViolation("not-stopped-there", f"No version of {name} has stopped at {position}.")
            await session.leave_out(name, str(position), reason, who)
        await self._resume(name)

    async def retry(self, name: str) -> None:
        """Try the event that stopped a view again."""
        self._view(name)
        async with self._database.view(name) as session:
            await session.go_on(name)
        await self._resume(name)

    def _view(self, name: str) -> View:
        view = self._pages.views.get(name)
        if view is None:
            raise NotFound("view-not-found", f"There is no view {name}. The views are {', '.join(self._pages.views)}.")
        return view

    async def _resume(self, name: str) -> None:
        """Feed the version that serves without waiting for a nudge, and have the one that is being built go on."""
        serving = version_in(await self._database.versions(), name, "serving")
        if serving is not None and self._pages.feeds(serving):
            await self._builder.bring_near(self._view(name), serving.version)
        if any(each.view == name for each in await self._builder.unfinished()):
            await self._start_job()

    async def _start_job(self) -> None:
        """A Job that runs looks for work once more before it ends, so it needs no second one."""
        if await self._database.is_being_built():
            return
        await self._jobs.start()
        self._job_started_at = asyncio.get_running_loop().time()

    async def _prepare_until_done(self) -> None:
        while True:
            try:
                await self.prepare()
            except Unavailable as error:
                log("the read database is not prepared: a retry follows", level=logging.WARNING, code=error.code)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
