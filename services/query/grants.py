"""The database privileges of query."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants, read_tables

__all__ = ["GRANTS"]

GRANTS = Grants(read=read_tables("SELECT"))
