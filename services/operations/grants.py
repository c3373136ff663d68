"""The database privileges of operations."""

from __future__ import annotations

from services.kit.eventstore.grants import Grants

__all__ = ["GRANTS"]

GRANTS = Grants(
    history=True,
    log={"events": "SELECT", "outbox": "SELECT", "failures": "SELECT, UPDATE, DELETE", "metrics": "SELECT"},
    others={
        "webhooks.endpoints": "SELECT (id, active, failures, failing_since)",
        "webhooks.deliveries": "SELECT (endpoint_id, state, created_at, next_at)",
    },
    read=(
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        "GRANT SELECT ON {schema}.metrics, {schema}.view_versions TO {role}",
    ),
)
"""Of webhooks and of the read database it sees only how much waits, how far the views are, and the metrics."""
