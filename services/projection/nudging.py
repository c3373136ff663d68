"""Keeping the views that serve level with what this process is asked for.

One loop per process; whoever was nudged waits until the checkpoints have reached its event, or for a while if a build
is under way: that may take longer than a broker is patient, and ends with what was promised meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.port import START, Position
from services.kit.telemetry.logging import log
from services.projection.building import Builder
from services.projection.feeding import Pages
from services.projection.versions import Version

__all__ = ["WAIT_SECONDS_MAX", "Feeder"]

WAIT_SECONDS_MAX = 10.0
HORIZON_SECONDS = 0.01
"""How long to wait before looking again for an event that a running transaction still hides."""
AGAIN_SECONDS = 0.5
BEHIND = "projection-behind"
ELSEWHERE_SECONDS = 0.1
"""How long to wait before looking again how far another process, or the one that builds, has come."""


class Feeder:
    """Brings the read side as far as somebody waits for."""

    def __init__(self, pages: Pages, builder: Builder, wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
        self._pages = pages
        self._builder = builder
        self._wait_seconds_max = wait_seconds_max
        self.checkpoint = START
        self._waiting: list[Position] = []
        self._moved = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None
        self._promised = START
        self._keeping: asyncio.Task[None] | None = None

    async def reach(self, position: Position) -> None:
        """Return when the read side has reached `position`, or will with a build that this process is awake for.

        Unavailable if it does not in time.
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
            if self._builder.busy:
                self._promise(position)
                return
            raise Unavailable(BEHIND, "the read side is not there yet") from error
        finally:
            self._waiting.remove(position)  # nobody may be fed for who no longer waits
        if position > self.checkpoint:
            self._raise_why()

    async def close(self) -> None:
        """Stop feeding; a page under way is rolled back and comes again."""
        tasks = [task for task in (self._keeping, self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _promise(self, position: Position) -> None:
        self._promised = max(self._promised, position)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._keep_promises())

    async def _keep_promises(self) -> None:
        while (before := self.checkpoint) < self._promised:
            await self._builder.idle()
            try:
                await self.reach(self._promised)
            except Unavailable as error:
                log("what was promised waits", level=logging.WARNING, code=error.code)
                if error.code == BEHIND and self.checkpoint == before:
                    self._promised = START  # as long as anybody waits nothing came: it is not in the log
                    return
                await asyncio.sleep(AGAIN_SECONDS)

    def _stopped(self) -> bool:
        return self._running is None or self._running.done()

    def _raise_why(self) -> None:
        if self._running is not None and not self._running.cancelled() and (error := self._running.exception()):
            raise error
        raise Unavailable("projection-stopped", "the read side is being stopped")

    async def _run(self) -> None:
        try:
            await self._builder.prepare()
            while self.checkpoint < max(self._waiting, default=START):
                await asyncio.sleep(await self._page())
                async with self._moved:
                    self._moved.notify_all()
        finally:
            asyncio.get_running_loop().call_soon(asyncio.ensure_future, self._tell())

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def _page(self) -> float:
        """Feed a page; how long to wait before the next one, in seconds."""
        serving, moved = await self._pages.serve()
        if all(self._pages.feeds(each) for each in serving) and len(serving) == len(self._pages.views):
            self.checkpoint = _least(serving, self.checkpoint)
            return 0 if moved else HORIZON_SECONDS
        versions = await self._pages.database.versions()
        if not versions:
            await self._builder.begin_again()
        self.checkpoint = _least(self._counted_on(versions), self.checkpoint)
        return 0 if moved else ELSEWHERE_SECONDS

    def _counted_on(self, versions: Sequence[Version]) -> list[Version]:
        """Of each view the version that must have an event: the one that serves, or ours while that one is older."""
        found: dict[str, Version] = {}
        for each in versions:
            view = self._pages.views.get(each.view)
            if view is None or each.state == "kept" or each.revision < view.revision:
                continue
            if each.state == "serving" or (each.view not in found and self._pages.feeds(each)):
                found[each.view] = each
        return list(found.values())


def _least(versions: Sequence[Version], before: Position) -> Position:
    """How far all have come that are not stopped; nobody waits for those that are."""
    return min((each.checkpoint for each in versions if each.stopped_at is None), default=before)
