"""REST routes about views: how far each is, rebuilding, switching, and going on after an event it cannot show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal, cast

from fastapi import Path, Query
from pydantic import BaseModel, Field

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import NotFound
from services.kit.domain.texts import ONE_LINE
from services.kit.eventstore.port import POSITION_PATTERN
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import position_of
from services.projection.answers import SkippedEvent, Views, ViewVersion
from services.projection.pages import Pages
from services.projection.versions import Version
from services.projection.view_admin import ViewAdmin

__all__ = ["routes"]

routes = json_router()

WAIT_SECONDS_MAX = 25
"""Below what proxies allow a request."""
LAG_EVENTS_MAX = 1_000_000

Name = Annotated[str, Path(max_length=40, pattern="^[a-z]+$", examples=["orders"])]
Number = Annotated[int, Path(ge=1, le=1_000_000)]
Wait = Annotated[
    float, Query(ge=0, le=WAIT_SECONDS_MAX, description="How long to wait while it is being built, in seconds.")
]
Reader = needs("operations:read")
Operator = needs("operations:write")
Admin = Annotated[ViewAdmin, provided(ViewAdmin)]
Read = Annotated[Pages, provided(Pages)]


class Rebuild(BaseModel, extra="forbid"):
    """What is done with the new version when it is level with the one that serves."""

    then: Literal["switch", "switch_if_equal", "wait"] = "switch_if_equal"


class Switch(BaseModel, extra="forbid"):
    """The version that is to serve."""

    version: int = Field(ge=1, le=1_000_000)


class Skip(BaseModel, extra="forbid"):
    """The event that a view is to do without, as `stopped_at` names it, and why."""

    position: str = Field(json_schema_extra={"pattern": POSITION_PATTERN})
    reason: str = Field(min_length=1, max_length=500, pattern=ONE_LINE)


@routes.get("/projection/views", dependencies=[Reader])
async def list_views(pages: Read) -> Answer[Views]:
    """List the versions of all views."""
    return await _views(pages)


@routes.get("/projection/views/{view}", dependencies=[Operator])
async def read_view(view: Name, pages: Read, admin: Admin, wait_seconds: Wait = 0) -> Answer[Views]:
    """List the versions of a view; waits while one of them is being built."""
    await admin.wait(view, wait_seconds)
    return await _views(pages, view)


@routes.post("/projection/views/{view}/rebuild", status_code=202, dependencies=[Operator])
async def rebuild(view: Name, body: Rebuild, pages: Read, admin: Admin) -> Answer[Views]:
    """Build a view again from the event store."""
    await admin.rebuild(view, body.then)
    return await _views(pages, view, 202)


@routes.post("/projection/views/{view}/switch", dependencies=[Operator])
async def switch(view: Name, body: Switch, pages: Read, admin: Admin) -> Answer[Views]:
    """Let another version of a view serve."""
    await admin.switch(view, body.version)
    return await _views(pages, view)


@routes.post("/projection/views/{view}/skip")
async def skip_event(
    view: Name, body: Skip, caller: Annotated[Caller, Operator], pages: Read, admin: Admin
) -> Answer[Views]:
    """Leave out the event at which a view has stopped."""
    await admin.leave_out(view, position_of(body.position), body.reason, caller.subject)
    return await _views(pages, view)


@routes.post("/projection/views/{view}/retry", dependencies=[Operator])
async def retry(view: Name, pages: Read, admin: Admin) -> Answer[Views]:
    """Try the event at which a view has stopped again."""
    await admin.retry(view)
    return await _views(pages, view)


@routes.delete("/projection/views/{view}/versions/{version}", dependencies=[Operator])
async def drop(view: Name, version: Number, pages: Read, admin: Admin) -> Answer[Views]:
    """Drop a version that does not serve."""
    await admin.drop(view, version)
    return await _views(pages, view)


async def _views(pages: Pages, name: str | None = None, status: int = 200) -> Answer[Views]:
    versions = [each for each in await pages.database.versions() if name in (None, each.view)]
    if name is not None and not versions and name not in pages.views:
        raise NotFound("view-not-found", f"There is no view {name}. The views are {', '.join(pages.views)}.")
    skipped = [cast("SkippedEvent", each) for each in await pages.database.skips() if name in (None, each["view"])]
    return Answer(Views(versions=[await _described(pages, each) for each in versions], skipped=skipped), status)


async def _described(pages: Pages, version: Version) -> ViewVersion:
    behind = await pages.store.behind(version.checkpoint, LAG_EVENTS_MAX, version.wakes)
    row = {name: value for name, value in asdict(version).items() if name != "wakes"}
    return cast("ViewVersion", {**row, "checkpoint": str(version.checkpoint), "events_behind": behind})
