"""Building the next version of a view beside the one that serves, comparing the two, and switching (blue/green).

Whatever is killed here goes on where it stood: in the next process, or with the next call.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.domain.errors import Invalid, NotFound, RuleViolation, Unavailable
from services.kit.eventstore.port import START, Position
from services.kit.service.keepalive import kept_awake
from services.kit.telemetry.logging import log
from services.projection.feeding import Pages
from services.projection.versions import Session, Then, Version
from services.projection.view import View

__all__ = ["Builder"]

RETRY_SECONDS = 0.5
ATTEMPTS_MAX = 20
AT_ONCE_EVENTS_MAX = 10_000
"""So many events, a second or two of reading, are read by a view while it serves already."""


class Builder:
    """Makes, builds, compares, switches and drops versions.

    `address` is the service's own, by which it keeps awake while it builds. A view that there was not yet is built
    before it serves if the log has more than `at_once_events_max` events.
    """

    def __init__(self, pages: Pages, address: str = "", at_once_events_max: int = AT_ONCE_EVENTS_MAX) -> None:
        self._pages = pages
        self._address = address
        self._at_once_events_max = at_once_events_max
        self._database = pages.database
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._preparing = asyncio.Lock()
        self._prepared = False

    async def prepare(self) -> None:
        """See to it, once in a process, that each view has a version of this code's revision, and go on building."""
        async with self._preparing:
            if self._prepared:
                return
            versions = await self._database.versions()
            if any(_missing(view, versions) for view in self._pages.views.values()):
                versions = await self._make_missing()
            for version in versions:
                if version.state == "building" and self._pages.feeds(version):
                    self._go_on(version)
            self._prepared = True

    async def begin_again(self) -> None:
        """Prepare once more: the read database was lost, and made again, while this process was there."""
        self._prepared = False
        await self.prepare()

    async def start(self) -> None:
        """Prepare in the background: a database that is away must not keep the process from starting."""
        self._tasks[""] = asyncio.create_task(self._prepare_until_done())

    @property
    def busy(self) -> bool:
        """Whether this process builds something."""
        return bool(self._building())

    async def idle(self) -> None:
        """Return when this process builds nothing any more."""
        while building := self._building():
            await asyncio.wait(building)

    async def rebuild(self, name: str, then: Then) -> None:
        """Begin to build the view again from the log, or go on with it; `then` says what is done when it is level."""
        await self.prepare()
        view = self._view(name)
        async with self._database.making() as session:
            building = _of(session.versions, name, "building")
            if building is None:
                await session.make(view, _next_number(_all(session.versions, name)), "building", then)
            elif not self._pages.feeds(building):
                raise RuleViolation("built-elsewhere", "another release of zerocart is building this view")
            else:
                await session.set_next(building, then)
        async with self._database.view(name) as session:
            if (version := _of(session.versions, name, "building")) is not None:
                self._go_on(version)

    async def wait(self, name: str, seconds: float) -> None:
        """Return when this process builds nothing of the view any more, or after so long; goes on if it was left."""
        await self.prepare()
        for version in await self._database.versions():
            if version.view == name and version.state == "building" and self._wants_work(version):
                self._go_on(version)
        if task := self._tasks.get(name):
            await asyncio.wait([task], timeout=seconds)

    async def switch(self, name: str, number: int) -> None:
        """Make a version serve, once it is level with the one that does; RuleViolation if this code cannot feed it."""
        await self.prepare()
        view = self._view(name)
        version = _numbered(await self._database.versions(), name, number)
        if not self._pages.feeds(version):
            raise RuleViolation("other-revision", f"this release cannot feed revision {version.revision} of {name}")
        if version.state != "serving":
            await self._bring_near(view, number)
            if not await self._has_begun(view, number):
                await self._switch(view, number)

    async def drop(self, name: str, number: int) -> None:
        """Drop a version that does not serve."""
        self._view(name)
        async with self._database.view(name) as session:
            version = _numbered(session.versions, name, number)
            if version.state == "serving":
                raise RuleViolation("version-serves", "switch to another version first")
            await session.drop(version)

    async def pass_over(self, name: str, position: Position, reason: str, who: str) -> None:
        """Let a view do without the event that stopped it, and go on."""
        self._view(name)
        async with self._database.view(name) as session:
            if str(position) not in {each.stopped_at for each in session.versions}:
                raise RuleViolation("not-stopped-there", "this event has not stopped the view")
            await session.pass_over(name, str(position), reason, who)
        await self._resume(name)

    async def retry(self, name: str) -> None:
        """Try again what stopped a view."""
        self._view(name)
        async with self._database.view(name) as session:
            await session.go_on(name)
        await self._resume(name)

    async def close(self) -> None:
        """Stop building; it goes on in the next process."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _building(self) -> list[asyncio.Task[None]]:
        return [task for view, task in self._tasks.items() if view and not task.done()]

    def _view(self, name: str) -> View:
        view = self._pages.views.get(name)
        if view is None:
            raise NotFound("view-not-found", f"there are the views {', '.join(self._pages.views)}")
        return view

    async def _resume(self, name: str) -> None:
        """Bring what serves near the end again, so that nobody waits for the next nudge."""
        for version in await self._database.versions():
            if version.view == name and self._pages.feeds(version) and version.state == "serving":
                await self._bring_near(self._view(name), version.version)
            elif version.view == name and version.state == "building" and self._wants_work(version):
                self._go_on(version)

    async def _prepare_until_done(self) -> None:
        while not self._prepared:
            try:
                await self.prepare()
            except Unavailable as error:
                log("the read database cannot be prepared yet", level=logging.WARNING, code=error.code)
                await asyncio.sleep(RETRY_SECONDS)

    async def _make_missing(self) -> Sequence[Version]:
        long = await self._is_long()
        async with self._database.making() as session:
            for view in self._pages.views.values():
                known = _all(session.versions, view.name)
                if not known and not long:  # else, empty, it would say for minutes that there is nothing
                    await session.make(view, 1, "serving", "wait")
                elif _missing(view, known):
                    if (stale := _of(known, view.name, "building")) is not None:
                        await session.drop(stale)
                    await session.make(view, _next_number(known), "building", "switch")
                    log("building the next version of a view", view=view.name, revision=view.revision)
        return await self._database.versions()

    async def _is_long(self) -> bool:
        """Whether a view that begins now has much to read."""
        return await self._pages.behind(START, self._at_once_events_max + 1) > self._at_once_events_max

    def _wants_work(self, version: Version) -> bool:
        return self._pages.feeds(version) and version.stopped_at is None and version.compared is None

    def _go_on(self, version: Version) -> None:
        task = self._tasks.get(version.view)
        if task is None or task.done():
            self._tasks[version.view] = asyncio.create_task(
                self._build_awake(self._view(version.view), version.version)
            )

    async def _build_awake(self, view: View, number: int) -> None:
        async with kept_awake(self._address):  # nobody may ask anything until it is done
            await self._build(view, number)

    async def _build(self, view: View, number: int) -> None:
        while True:
            try:
                await self._bring_near(view, number)
                await self._finish(view, number)
                await self._bring_near(view, number)  # others did not wait for it before it served
            except Unavailable as error:
                log("building waits", level=logging.WARNING, view=view.name, code=error.code)
                await asyncio.sleep(RETRY_SECONDS)
            except (Invalid, NotFound, RuleViolation) as error:
                log("building ends", level=logging.WARNING, view=view.name, code=error.code)
                return
            else:
                return

    async def _bring_near(self, view: View, number: int) -> None:
        """Feed the version until it has what the log had a page ago; RuleViolation if it has stopped."""
        more = True
        while more:
            version, more = await self._pages.build(view, number)
            if version is None:
                raise RuleViolation("view-stopped", f"version {number} of {view.name} has stopped, or is gone")

    async def _finish(self, view: View, number: int) -> None:
        if await self._has_begun(view, number):
            return
        found, then = await self._compared(view, number)
        if then == "switch" or (then == "switch_if_equal" and _equal(found)):
            await self._switch(view, number)

    async def _compared(self, view: View, number: int) -> tuple[Mapping[str, Any], Then]:
        """Bring the version to the very place of the one that serves, and compare the two there, holding nothing."""
        async with self._database.view(view.name) as session:
            old, new = await self._level(session, view, number)
        for _ in range(ATTEMPTS_MAX):
            async with self._database.snapshot() as seen:
                old, new = _pair(seen.versions, view.name, number)
                if old.checkpoint == new.checkpoint:
                    found = await seen.differences(view, old, new)
                    break
            async with self._database.view(view.name) as session:
                old, new = await self._level(session, view, number)
        else:
            found = {"not compared": "they were never at the same place"}
        async with self._database.version(view.name, number) as session:
            await session.keep_comparison(new, found)
        log("versions compared", view=view.name, version=number, equal=_equal(found))
        return found, new.next

    async def _has_begun(self, view: View, number: int) -> bool:
        """Serve with this version if none serves yet; whether that was so. RuleViolation if it has stopped."""
        async with self._database.view(view.name) as session:
            if _of(session.versions, view.name, "serving") is not None:
                return False
            await session.serve(_unstopped(_numbered(session.versions, view.name, number)))
        log("a view begins to serve", view=view.name, version=number)
        return True

    async def _switch(self, view: View, number: int) -> None:
        async with self._database.view(view.name) as session:
            old, new = await self._level(session, view, number)
            await session.switch(old, new)
            outdated = [each for each in session.versions if each.state == "kept" and each.version != number]
        log("switched", view=view.name, version=number)
        for version in outdated:  # what was kept until now makes room for what was served until now
            await self.drop(view.name, version.version)

    async def _level(self, session: Session, view: View, number: int) -> tuple[Version, Version]:
        old, new = _pair(session.versions, view.name, number)
        _unstopped(new)
        if self._pages.feeds(old) and old.stopped_at is None:
            old = await self._pages.catch_up(session, old, new.checkpoint)
        return old, await self._pages.catch_up(session, new, old.checkpoint)


def _all(versions: Sequence[Version], name: str) -> list[Version]:
    return [each for each in versions if each.view == name]


def _of(versions: Sequence[Version], name: str, state: str) -> Version | None:
    return next((each for each in versions if each.view == name and each.state == state), None)


def _numbered(versions: Sequence[Version], name: str, number: int) -> Version:
    found = next((each for each in versions if each.view == name and each.version == number), None)
    if found is None:
        raise NotFound("version-not-found", "there is no such version of this view")
    return found


def _next_number(versions: Sequence[Version]) -> int:
    return 1 + max((each.version for each in versions), default=0)


def _unstopped(version: Version) -> Version:
    if version.stopped_at is not None:
        raise RuleViolation("view-stopped", f"version {version.version} of {version.view} has stopped")
    return version


def _missing(view: View, versions: Sequence[Version]) -> bool:
    """Whether no version has the revision of this code or a later one."""
    return all(each.revision < view.revision for each in _all(versions, view.name))


def _pair(versions: Sequence[Version], name: str, number: int) -> tuple[Version, Version]:
    """The one that serves, and version `number`."""
    old, new = _of(versions, name, "serving"), _numbered(versions, name, number)
    if old is None:
        raise NotFound("version-not-found", "no version of this view serves")
    if old.version == number:
        raise Invalid("version-serves", "this version serves already")
    return old, new


def _equal(found: Mapping[str, Any]) -> bool:
    return all(isinstance(each, Mapping) and not each["examples"] for each in found.values())
