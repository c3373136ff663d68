"""The audit as query answers it: what persons and programs changed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select

from services.query.paging import ListQuery, Page, PageRequest, Sorting, counted_page, digest_of
from services.query.snapshots import Row, Snapshots
from services.query.tables import AUDIT
from services.read_model import audit
from services.read_model.answers import shown

__all__ = ["Audit", "AuditFilter"]


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which changes a list has; None, or no type, does not restrict it."""

    actor: str | None = None
    actor_kind: str | None = None
    subject: str | None = None
    types: tuple[str, ...] = ()
    begin: datetime | None = None
    end: datetime | None = None


class Audit:
    """Reads the entries of the audit from the read database."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    async def list(self, wanted: AuditFilter, request: PageRequest) -> Page:
        """One page of changes, the newest first; Invalid if the cursor cannot be used."""
        columns = {"time": AUDIT.c.time, "position": AUDIT.c.position}
        sorting = Sorting(columns, descending=True, digest=digest_of(wanted, "-time"))
        matching = select(AUDIT).where(*_conditions(wanted))
        found = ListQuery(matching, matching.with_only_columns(AUDIT.c.position), sorting)
        return await self._snapshots.read(lambda at: counted_page(at, found, request, _entry))


def _entry(row: Row) -> dict[str, Any]:
    data = row["data"]
    return {**shown(audit.AUDIT, row), "data": None if data is None else json.loads(data)}


def _conditions(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    column = AUDIT.c
    values = {column.actor: wanted.actor, column.actor_kind: wanted.actor_kind, column.subject: wanted.subject}
    found = [each == value for each, value in values.items() if value is not None]
    if wanted.types:
        found.append(column.type.in_(wanted.types))
    if wanted.begin is not None:
        found.append(column.time >= wanted.begin)
    if wanted.end is not None:
        found.append(column.time < wanted.end)
    return found
