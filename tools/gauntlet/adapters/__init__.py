"""The event stores that can run the gauntlet. Only the module of the store that runs is imported."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from tools.gauntlet.store import Store

__all__ = ["ADAPTERS", "new_store"]

ADAPTERS: Mapping[str, str] = {
    "zerocart": "tools.gauntlet.adapters.zerocart.ZerocartStore",
    "bigserial": "tools.gauntlet.adapters.bigserial.BigserialStore",
    "eventsource-py": "tools.gauntlet.adapters.eventsource_py.EventsourcePyStore",
    "eventsourcing": "tools.gauntlet.adapters.eventsourcing.EventsourcingStore",
    "eventsourcing-functions": "tools.gauntlet.adapters.eventsourcing.EventsourcingFunctionsStore",
    "umadb": "tools.gauntlet.adapters.umadb.UmaStore",
}
"""The class of each adapter, by the name of its store."""


def new_store(name: str) -> Store:
    """The adapter of a store; ImportError if a package that it needs is not installed."""
    module, _, adapter = ADAPTERS[name].rpartition(".")
    return cast("Store", getattr(import_module(module), adapter)())
