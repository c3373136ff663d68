"""Feeds the versions that serve until they have reached the positions of the nudges that this process has received.

One loop per process feeds; every nudge waits until the checkpoints have reached its event.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.kit.domain.errors import Invalid, Unavailable
from services.kit.eventstore.port import START, HistoryCut, Position
from services.kit.wire.cloudevents import Incoming
from services.projection.pages import Pages
from services.projection.versions import Version
from services.projection.view_admin import ViewAdmin

__all__ = ["WAIT_SECONDS_MAX", "Feeder"]

WAIT_SECONDS_MAX = 10.0
HORIZON_SECONDS = 0.01
"""The pause before looking again for an event that a running transaction still hides."""
ELSEWHERE_SECONDS = 0.1
"""The pause before looking again how far another process has come."""


class Feeder:
    """Brings the read side to the positions that nudges wait for."""

    def __init__(self, pages: Pages, admin: ViewAdmin, wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        self._pages = pages
        self._admin = admin
        self._wait_seconds_max = wait_seconds_max
        self.checkpoint = START
        self._waiting: list[Position] = []
        self._moved = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None

    async def reach(self, position: Position) -> None:
        """Return when the read side has reached `position`; Unavailable if it does not in time.

        A view whose next version a Job builds is not waited for: the Job reads to the end of the event store after it
        has let the version serve, and this event is there already.
        """
        if position <= self.checkpoint:
            return
        self._waiting.append(position)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(self._wait_seconds_max), self._moved:
                await self._moved.wait_for(lambda: position <= self.checkpoint or self._stopped())
        except TimeoutError as error:
            raise Unavailable("projection-behind", "the read side has not reached the event yet") from error
        finally:
            self._waiting.remove(position)  # the loop feeds nothing for a caller that has left
        if position > self.checkpoint:
            self._raise_why()

    async def reach_event(self, event: Incoming) -> None:
        """Reach the position of an event; Invalid if the event names none."""
        try:
            position = Position.parse(event.attributes.get("position", ""))
        except ValueError as error:
            detail = "the attribute `position` is missing, or zerocart did not write it"
            raise Invalid("bad-position", detail) from error
        await self.reach(position)

    async def shown(self) -> Position:
        """The position that all serving versions in the read database have reached."""
        return _least(self._awaited(await self._pages.database.versions()), START)

    async def close(self) -> None:
        """Stop feeding; a page that is being written is rolled back and read again."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _stopped(self) -> bool:
        return self._running is None or self._running.done()

    def _raise_why(self) -> None:
        if self._running is not None and not self._running.cancelled() and (error := self._running.exception()):
            raise error
        raise Unavailable("projection-stopped", "the projection is stopping")

    async def _run(self) -> None:
        try:
            await self._admin.prepare()
            while self.checkpoint < max(self._waiting, default=START):
                await asyncio.sleep(await self._page())
                async with self._moved:
                    self._moved.notify_all()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._notify())

    async def _notify(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _page(self) -> float:
        """Feed a page; the pause before the next one, in seconds."""
        try:
            serving, moved = await self._pages.serve()
        except HistoryCut:
            await self._admin.rebuild_cut()
            return 0
        if all(self._pages.feeds(each) for each in serving) and len(serving) == len(self._pages.views):
            before, self.checkpoint = self.checkpoint, _least(serving, self.checkpoint)
            if before > START and before.epoch < self.checkpoint.epoch:
                await self._admin.prepare_again()
            return 0 if moved else HORIZON_SECONDS
        end = await self._pages.store.end()  # before the look: what comes later may come after the Job's last page
        versions = await self._pages.database.versions()
        if not versions:
            await self._admin.prepare_again()
            return 0
        await self._admin.ensure_build()
        self.checkpoint = max(self.checkpoint, _least(self._awaited(versions), end))
        return 0 if moved else ELSEWHERE_SECONDS

    def _awaited(self, versions: Sequence[Version]) -> list[Version]:
        """The versions that must have an event before it is acknowledged.

        They serve, and are of this release or a later one, which feeds them itself.
        """
        views = self._pages.views
        return [
            each
            for each in versions
            if each.state == "serving" and each.view in views and each.revision >= views[each.view].revision
        ]


def _least(versions: Sequence[Version], default: Position) -> Position:
    """Return the least position of the versions that no event has stopped; no caller waits for a stopped version."""
    return min((each.checkpoint for each in versions if each.stopped_at is None), default=default)
