"""The database privileges of operations."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants

__all__ = ["GRANTS"]

GRANTS = Grants(
    history=True,
    log={"events": "SELECT", "outbox": "SELECT", "failures": "SELECT, UPDATE, DELETE", "metrics": "SELECT"},
    read=(
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT SELECT ON {schema}.metrics, {schema}.view_versions TO {role}",
    ),
)
"""Of the read database it sees only how far the views are and what the metrics store holds."""
