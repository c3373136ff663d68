"""Payments, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kit.host import Host
from services.kit.service import Service
from services.payments.provider import Provider
from services.payments.reactions import reactions
from services.payments.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

__all__ = ["create_app"]


def create_app(host: Host | None = None, provider: Provider | None = None) -> Service:
    """The payments service on `host`, or on what the environment names."""
    host = host or Host.connect("payments")
    provider = provider or Sandbox(host.log)

    def routers() -> Sequence[APIRouter]:
        from services.payments.api import router

        return (router(host.handler),)

    return Service(host, reactions=reactions(host.handler, provider), routers=routers)
