"""The table of the versions of all views: which serves, which is being built, how far each is."""

from __future__ import annotations

from dataclasses import dataclass

from services.read_model.table import BigCount, Count, Id, Instant, Number, Table, Text, Texts

__all__ = ["VERSIONS", "VersionRow"]


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a view; its rows include all events up to `position`."""

    view: Id
    version: Number
    revision: Number
    state: Text
    next: Text
    epoch: Count
    position: BigCount
    made_at: Instant
    switched_at: Instant | None
    stopped_at: Text | None
    stopped_by: Text | None
    stopped_since: Instant | None
    compared: Text | None
    wakes: Texts | None


VERSIONS = Table("", "view_versions", VersionRow, ("view", "version"))
