"""The database privileges of projection."""

from __future__ import annotations

from services.kit.eventstore.grants import READS_KEYS, Grants, read_tables

__all__ = ["GRANTS"]

MAKES_VERSIONS = """
    GRANT EXECUTE ON FUNCTION
        {schema}.make_version_schema(text, text, text), {schema}.drop_version_schema(text)
    TO {role}
"""
"""The running service makes a schema for each version of a view (docs/decisions/0012-view-versions.md)."""

GRANTS = Grants(
    log={"events": "SELECT"},
    receipts=True,
    vault=READS_KEYS,
    read=(*read_tables("SELECT, INSERT, UPDATE, DELETE"), MAKES_VERSIONS),
    owns_read_schema=True,
)
