"""The views over REST: how far each is, building one again, switching, and going on after an event it cannot show."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field

from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import FieldError, Invalid, NotFound
from services.kit.eventstore.port import POSITION_PATTERN, Position
from services.kit.rest.app import json_router
from services.projection.pages import Pages
from services.projection.versions import Version
from services.projection.view_admin import ViewAdmin

__all__ = ["router"]

WAIT_SECONDS_MAX = 25
"""Below what proxies allow a request."""
LAG_EVENTS_MAX = 1_000_000

Name = Annotated[str, Path(max_length=40, pattern="^[a-z]+$", examples=["orders"])]
Number = Annotated[int, Path(ge=1, le=1_000_000)]
Wait = Annotated[
    float, Query(ge=0, le=WAIT_SECONDS_MAX, description="How long to wait while it is being built, in seconds.")
]
Operator = Annotated[Caller, needs("operations:write")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Rebuild(_Body):
    """What is done with the new version when it is level with the one that serves."""

    then: Literal["switch", "switch_if_equal", "wait"] = "switch_if_equal"


class Switch(_Body):
    """Which version is to serve."""

    version: int = Field(ge=1, le=1_000_000)


class Skip(_Body):
    """The event that a view is to do without, as `stopped_at` names it, and why."""

    position: str = Field(pattern=POSITION_PATTERN)
    reason: str = Field(min_length=1, max_length=500)


def router(pages: Pages, admin: ViewAdmin) -> APIRouter:
    """The routes of the projection."""
    routes = json_router()

    async def shown(name: str | None = None) -> Any:
        versions = [each for each in await pages.database.versions() if name in (None, each.view)]
        if name is not None and not versions and name not in pages.views:
            raise NotFound("view-not-found", f"there are the views {', '.join(pages.views)}")
        skips = [each for each in await pages.database.skips() if name in (None, each["view"])]
        return jsonable_encoder({"versions": [await described(each) for each in versions], "skipped": skips})

    async def described(version: Version) -> dict[str, Any]:
        behind = await pages.behind(version.checkpoint, LAG_EVENTS_MAX, version.wakes)
        row = {name: value for name, value in asdict(version).items() if name != "wakes"}
        return {**row, "checkpoint": str(version.checkpoint), "events_behind": behind}

    @routes.get("/projection/views", dependencies=[needs("operations:read")])
    async def list_views() -> Any:
        return await shown()

    @routes.get("/projection/views/{view}", dependencies=[needs("operations:write")])
    async def read_view(view: Name, wait_seconds: Wait = 0) -> Any:
        """The versions of a view and how far each is; waits while one is being built."""
        await admin.wait(view, wait_seconds)
        return await shown(view)

    @routes.post("/projection/views/{view}/rebuild", status_code=202, dependencies=[needs("operations:write")])
    async def rebuild(view: Name, body: Rebuild) -> Any:
        await admin.rebuild(view, body.then)
        return await shown(view)

    @routes.post("/projection/views/{view}/switch", dependencies=[needs("operations:write")])
    async def switch(view: Name, body: Switch) -> Any:
        await admin.switch(view, body.version)
        return await shown(view)

    @routes.post("/projection/views/{view}/skip")
    async def pass_over(view: Name, body: Skip, caller: Operator) -> Any:
        await admin.pass_over(view, _position(body.position), body.reason, caller.subject)
        return await shown(view)

    @routes.post("/projection/views/{view}/retry", dependencies=[needs("operations:write")])
    async def retry(view: Name) -> Any:
        await admin.retry(view)
        return await shown(view)

    @routes.delete("/projection/views/{view}/versions/{version}", dependencies=[needs("operations:write")])
    async def drop(view: Name, version: Number) -> Any:
        await admin.drop(view, version)
        return await shown(view)

    return routes


def _position(token: str) -> Position:
    try:
        return Position.parse(token)
    except ValueError as error:
        detail = "zerocart did not write this position"
        raise Invalid("bad-position", detail, (FieldError("position", "invalid", detail),)) from error
