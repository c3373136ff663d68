"""Builds the next version of a view beside the one that serves, compares the two, and switches (blue/green).

A build that is killed goes on from its last page when it is started again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from services.kit.domain.errors import Invalid, NotFound, RuleViolation, Unavailable
from services.kit.eventstore.port import START
from services.kit.telemetry.logging import log
from services.projection.pages import Pages
from services.projection.versions import Session, Then, Version, next_number, numbered, of_view, version_in
from services.projection.view import View

__all__ = ["AT_ONCE_EVENTS_MAX", "Builder"]

RETRY_SECONDS = 0.5
AWAY_SECONDS_MAX = 600.0
"""A build gives up when a database has been away for so long."""
COMPARE_ATTEMPTS_MAX = 20
AT_ONCE_EVENTS_MAX = 10_000
"""With at most so many events, a second or two of reading, a new view serves at once and is fed while it serves."""
PROGRESS_SECONDS = 10.0
BEHIND_EVENTS_MAX = 1_000_000


class Builder:
    """Creates, builds, compares and switches versions.

    A view without any version is built before it serves if the event store has more than `at_once_events_max` events.
    """

    def __init__(self, pages: Pages, at_once_events_max: int = AT_ONCE_EVENTS_MAX) -> None:
        self._pages = pages
        self._at_once_events_max = at_once_events_max
        self._database = pages.database

    async def create_missing(self) -> None:
        """Create a version for each view that has none of this code's revision or later, or none of this epoch.

        A version that began under an older epoch may show events that a restore or a failover has lost.
        """
        versions, epoch = await self._database.versions(), await self._pages.store.epoch()
        if not any(_missing(view, versions, epoch) for view in self._pages.views.values()):
            return
        is_long = await self._pages.store.behind(START, self._at_once_events_max + 1) > self._at_once_events_max
        async with self._database.making() as session:
            for view in self._pages.views.values():
                await _create_if_missing(session, view, epoch, is_long)

    async def build_all(self) -> None:
        """Build whatever is to be built, alone among all processes, until nothing is left.

        It looks once more after it has released the lock: so it sees a request that was recorded while it held the
        lock, and whoever recorded it needs no second process.
        """
        await self.create_missing()
        while await self.unfinished():
            async with self._database.building_alone():
                wanted = await self.unfinished()
                await asyncio.gather(*(self._build(self._pages.views[each.view], each.version) for each in wanted))

    async def unfinished(self) -> list[Version]:
        """The versions that this code builds, but for those that an event stopped or a comparison left to operators."""
        return [each for each in await self._database.versions() if each.state == "building" and self._can_build(each)]

    def _can_build(self, version: Version) -> bool:
        left_to_operator = version.compared is not None and not _switches(version.next, version.compared)
        return self._pages.feeds(version) and version.stopped_at is None and not left_to_operator

    async def bring_near(self, view: View, number: int) -> None:
        """Feed the version until it has what the event store had a page ago; RuleViolation if it has stopped."""
        more, logged_at = True, time.monotonic()
        while more:
            version, more = await self._pages.build(view, number)
            if version is None:
                raise RuleViolation(
                    "view-stopped", f"Version {number} of {view.name} has stopped at an event, or was dropped."
                )
            if time.monotonic() - logged_at > PROGRESS_SECONDS:
                logged_at = time.monotonic()
                behind = await self._pages.store.behind(version.checkpoint, BEHIND_EVENTS_MAX)
                log("building a view", view=view.name, version=number, events_behind=behind)

    async def serve_first(self, view: View, number: int) -> bool:
        """Let the version serve if none of the view does; True if so. RuleViolation if it has stopped."""
        async with self._database.view(view.name) as session:
            if version_in(session.versions, view.name, "serving") is not None:
                return False
            await session.serve(_unstopped(numbered(session.versions, view.name, number)))
        log("the first version of a view serves", view=view.name, version=number)
        return True

    async def switch(self, view: View, number: int) -> None:
        """Bring the version level with the one that serves and let it serve; drop the version that was kept so far."""
        async with self._database.view(view.name) as session:
            old, new = await self._level(session, view, number)
            await session.switch(old, new)
            outdated = [each for each in session.versions if each.state == "kept" and each.version != number]
        log("another version of a view serves", view=view.name, version=number)
        for version in outdated:
            async with self._database.view(view.name) as session:
                await session.drop(version)

    async def _build(self, view: View, number: int) -> None:
        deadline = time.monotonic() + AWAY_SECONDS_MAX
        while True:
            try:
                await self.bring_near(view, number)
                await self._finish(view, number)
                # nobody waited for this version before it served: read what was acknowledged until then
                await self.bring_near(view, number)
            except Unavailable as error:
                if time.monotonic() > deadline:
                    raise
                log(
                    "the build of a view was interrupted: a retry follows",
                    level=logging.WARNING,
                    view=view.name,
                    code=error.code,
                )
                await asyncio.sleep(RETRY_SECONDS)
            except (Invalid, NotFound, RuleViolation) as error:
                log("the build of a view ends", level=logging.WARNING, view=view.name, code=error.code)
                return
            else:
                return

    async def _finish(self, view: View, number: int) -> None:
        if await self.serve_first(view, number):
            return
        found, then = await self._compare(view, number)
        if _switches(then, found):
            await self.switch(view, number)

    async def _compare(self, view: View, number: int) -> tuple[Mapping[str, Any], Then]:
        """Bring both versions to the same position and compare their rows there, without a lock on either."""
        async with self._database.view(view.name) as session:
            old, new = await self._level(session, view, number)
        for _ in range(COMPARE_ATTEMPTS_MAX):
            async with self._database.snapshot() as seen:
                old, new = _pair(seen.versions, view.name, number)
                if old.checkpoint == new.checkpoint:
                    found = await seen.differences(view, old, new)
                    break
            async with self._database.view(view.name) as session:
                old, new = await self._level(session, view, number)
        else:
            found = {"not compared": "the two versions were never at the same position"}
        async with self._database.version(view.name, number) as session:
            await session.keep_comparison(new, found)
        log("versions of a view compared", view=view.name, version=number, equal=_equal(found))
        return found, new.next

    async def _level(self, session: Session, view: View, number: int) -> tuple[Version, Version]:
        old, new = _pair(session.versions, view.name, number)
        _unstopped(new)
        if self._pages.feeds(old) and old.stopped_at is None:
            old = await self._pages.catch_up(session, old, new.checkpoint)
        return old, await self._pages.catch_up(session, new, old.checkpoint)


async def _create_if_missing(session: Session, view: View, epoch: int, is_long: bool) -> None:
    known = of_view(session.versions, view.name)
    if not known and not is_long:  # a long one, still empty, would answer for minutes that there is nothing
        await session.make(view, 1, "serving", "wait", epoch)
    elif _missing(view, known, epoch):
        if (stale := version_in(known, view.name, "building")) is not None:
            await session.drop(stale)
        await session.make(view, next_number(known), "building", "switch", epoch)
        log("a view needs its next version", view=view.name, revision=view.revision, epoch=epoch)


def _unstopped(version: Version) -> Version:
    if version.stopped_at is not None:
        raise RuleViolation(
            "view-stopped",
            f"Version {version.version} of {version.view} has stopped at an event. Skip or retry the event first.",
        )
    return version


def _missing(view: View, versions: Sequence[Version], epoch: int) -> bool:
    """Whether no version has the revision of this code, or a later one, and began under this epoch."""
    return all(each.revision < view.revision or each.epoch < epoch for each in of_view(versions, view.name))


def _pair(versions: Sequence[Version], name: str, number: int) -> tuple[Version, Version]:
    """The version that serves, and version `number`."""
    old, new = version_in(versions, name, "serving"), numbered(versions, name, number)
    if old is None:
        raise NotFound("version-not-found", f"No version of {name} serves.")
    if old.version == number:
        raise Invalid("version-serves", f"Version {number} of {name} serves already.")
    return old, new


def _switches(then: Then, found: Mapping[str, Any]) -> bool:
    """Whether the new version is to serve after this comparison."""
    return then == "switch" or (then == "switch_if_equal" and _equal(found))


def _equal(found: Mapping[str, Any]) -> bool:
    return all(isinstance(each, Mapping) and not each["examples"] for each in found.values())
