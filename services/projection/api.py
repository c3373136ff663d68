"""Rebuilding the read side over REST."""

from __future__ import annotations

from fastapi import APIRouter

from services.kit.access import needs
from services.kit.rest import json_router
from services.projection.feeding import Feeder

__all__ = ["router"]


def router(feeder: Feeder) -> APIRouter:
    """The routes of the projection."""
    routes = json_router()

    @routes.post("/projection/rebuild", dependencies=[needs("operations:write")])
    async def rebuild() -> dict[str, str]:
        await feeder.rebuild()
        return {"checkpoint": str(feeder.checkpoint)}

    return routes
