"""Feeds versions of views a page of events at a time; rows and checkpoint change in one transaction.

An event that a view cannot show stops this view and no other until an operator skips the event
(docs/decisions/0012-view-versions.md).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.connections import translated
from services.kit.eventstore.port import EventReader, HistoryCut, Page, Position
from services.kit.privacy.vault import Vault
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.projection.decoding import decode
from services.projection.versions import ReadDatabase, Session, Version
from services.projection.view import DecodedEvent, View

__all__ = ["Pages"]

PAGE_EVENTS_MAX = 1_000
BUILD_EVENTS_MAX = 4_000


class CannotShow(Exception):
    """The view cannot show an event."""


class Pages:
    """Reads pages of events and applies them to versions."""

    def __init__(self, store: EventReader, vault: Vault, database: ReadDatabase, views: Mapping[str, View]) -> None:
        self.store = store
        self.database = database
        self.views = views
        self._vault = vault
        self._reads = {type_: model for view in views.values() for type_, model in view.reads.items()}

    def feeds(self, version: Version) -> bool:
        """Whether this release can feed the version: it has the revision of the view that this release defines."""
        view = self.views.get(version.view)
        return view is not None and view.revision == version.revision

    async def serve(self) -> tuple[Sequence[Version], bool]:
        """Feed a page to the serving versions that are furthest behind; all serving versions, and whether one moved."""
        try:
            async with self.database.serving() as session:
                return await self._advance(session)
        except CannotShow:
            return await self._serve_apart()

    async def cut_at(self, version: Version) -> Position | None:
        """The last position that remained if the event store lost events that the version shows; else None."""
        try:
            await self.store.end(version.checkpoint)
        except HistoryCut as cut:
            return cut.cut_at
        return None

    async def build(self, view: View, number: int, events_max: int = BUILD_EVENTS_MAX) -> tuple[Version | None, bool]:
        """Feed a page to one version; the version (None if it was dropped or has stopped) and whether more follows."""
        async with self.database.version(view.name, number) as session:
            version = _running(session.versions)
            if version is None:
                return None, False
            end = await self.store.end(version.checkpoint)
            page = await self.store.read_types(version.checkpoint, end, view.reads, events_max)
        try:
            shown = await decode(self._vault, view.reads, page.events)
            await self._carefully(view, version, shown, page.end)
        except _Moved:
            return version, page.full
        return replace(version, checkpoint=page.end), page.full

    async def catch_up(self, session: Session, version: Version, to: Position) -> Version:
        """Feed a version, whose row the session has locked, exactly up to `to`."""
        view = self.views[version.view]
        if version.checkpoint >= to:
            return version
        while version.checkpoint < to:
            page = await self.store.read_types(version.checkpoint, to, view.reads, PAGE_EVENTS_MAX)
            await _feed(session, version, view, await decode(self._vault, view.reads, page.events))
            version = replace(version, checkpoint=page.end)
        await session.move([version], version.checkpoint)
        return version

    async def _advance(self, session: Session) -> tuple[Sequence[Version], bool]:
        running = [each for each in session.versions if self.feeds(each) and each.stopped_at is None]
        if not running:
            return session.versions, False
        at = min(each.checkpoint for each in running)
        ahead = [each.checkpoint for each in running if each.checkpoint > at]
        page = await self.store.read_all(at, PAGE_EVENTS_MAX)
        if ahead:
            page = _cut(page, min(ahead))
        if page.end == at:
            return session.versions, False
        shown = await decode(self._vault, self._reads, page.events)
        group = [each for each in running if each.checkpoint == at]
        for version in group:
            await _feed(session, version, self.views[version.view], shown)
        await session.move(group, page.end)
        METRICS.count("events_projected", len(page.events))
        moved = {each.view: replace(each, checkpoint=page.end) for each in group}
        return [moved.get(each.view, each) for each in session.versions], True

    async def _serve_apart(self) -> tuple[Sequence[Version], bool]:
        """Feed each version on its own, so that an event that one view cannot show delays no other view."""
        serving = [each for each in await self.database.versions() if each.state == "serving"]
        for each in serving:
            if self.feeds(each):
                await self.build(self.views[each.view], each.version)
        return [each for each in await self.database.versions() if each.state == "serving"], True

    async def _carefully(self, view: View, version: Version, shown: Sequence[DecodedEvent], end: Position) -> Version:
        """Feed these events, in ever smaller pieces if the view cannot show one of them; the version then."""
        try:
            async with self.database.version(view.name, version.version) as session:
                _check_not_moved(session, version)
                await _feed(session, version, view, shown)
                await session.move([version], end)
        except CannotShow as poison:
            if len(shown) == 1:
                await self._skip_or_stop(version, shown[0], end, str(poison))
                return replace(version, checkpoint=end)
            half = len(shown) // 2
            middle = shown[half - 1].event.position
            version = await self._carefully(view, version, shown[:half], middle)
            return await self._carefully(view, version, shown[half:], end)
        return replace(version, checkpoint=end)

    async def _skip_or_stop(self, version: Version, shown: DecodedEvent, end: Position, why: str) -> None:
        event = shown.event
        async with self.database.version(version.view, version.version) as session:
            _check_not_moved(session, version)
            if await session.is_skipped(version.view, event.position):
                await session.move([version], end)
                return
            await session.stop(version, event.position, f"{event.type}: {why}")
        METRICS.count("views_stopped", view=version.view)
        log("view stopped", level=logging.ERROR, view=version.view, stream=event.stream, version=event.version, why=why)
        raise _Moved


class _Moved(Exception):
    """The version has moved meanwhile: another process has fed it, or it has stopped."""


def _check_not_moved(session: Session, version: Version) -> None:
    now = _running(session.versions)
    if now is None or now.checkpoint != version.checkpoint:
        raise _Moved


def _running(versions: Sequence[Version]) -> Version | None:
    return next((each for each in versions if each.stopped_at is None), None)


def _cut(page: Page, end: Position) -> Page:
    """The page without events after `end`."""
    if page.end < end:
        return page
    return Page([event for event in page.events if event.position <= end], end, full=True)


async def _feed(session: Session, version: Version, view: View, shown: Sequence[DecodedEvent]) -> None:
    if fault := next((each.fault for each in shown if each.fault and each.event.type in view.reads), ""):
        raise CannotShow(fault)
    try:
        with translated():
            await view.feed(session.rows(version), shown)
    except Unavailable:
        raise
    except Exception as error:  # an error of one view must not stop the others
        raise CannotShow(type(error).__name__) from error
