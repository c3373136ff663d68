"""What the projection answers about the views."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from typing_extensions import TypedDict

__all__ = ["SkippedEvent", "ViewVersion", "Views"]


class ViewVersion(TypedDict):
    """A version of a view and how far it is."""

    view: str
    version: int
    revision: int
    """The revision of the view's definition that it was built for."""
    state: Literal["building", "serving", "kept"]
    next: Literal["switch", "switch_if_equal", "wait"]
    """The next action of the build, as soon as it has read as many events as the version that serves."""
    epoch: int
    """The newest epoch of positions when it was created; a version of an older epoch may show lost events."""
    checkpoint: str
    """The position up to which it shows all events."""
    events_behind: int
    """Events after that position that the view shows, counted up to a million."""
    made_at: datetime
    switched_at: datetime | None
    stopped_at: str | None
    """The position of the event that it cannot show, and at which it has stopped."""
    stopped_by: str | None
    stopped_since: datetime | None
    compared: dict[str, Any] | None
    """By table, how its rows differ from those of the version that serves."""


class SkippedEvent(TypedDict):
    """An event that operators left out of a view."""

    view: str
    position: str
    reason: str
    skipped_by: str
    skipped_at: datetime


class Views(TypedDict):
    """The versions of views, and the events that were left out."""

    versions: list[ViewVersion]
    skipped: list[SkippedEvent]
