"""Who may touch what in the log database: the walls between services, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "DATABASE_ROLES",
    "READERS",
    "READ_ROLES",
    "VAULT",
    "WRITERS",
    "reader_grants",
    "role_of",
    "vault_grants",
]

WRITERS: Sequence[str] = (
    "users", "orders", "inventory", "payments", "shipping", "notifications", "fulfillment", "scheduler", "operations",
)  # fmt: skip
"""Services with a history of their own: a schema, a partition of the log and a role that writes nothing else."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What a role may do on the tables of all services together."""

    events: str = ""
    outbox: str = ""
    failures: str = ""
    metrics: str = ""
    receipts: str = ""


READERS: Mapping[str, Reach] = {
    "projection": Reach(events="SELECT"),
    "operations": Reach(events="SELECT", outbox="SELECT", failures="SELECT, UPDATE, DELETE", metrics="SELECT"),
    # publishes for services that died between commit and publication and were never called again
    "scheduler": Reach(events="SELECT", outbox="SELECT, DELETE", receipts="SELECT"),
}

MAKES_KEYS = "SELECT, INSERT (person, wrapped)"
VAULT: Mapping[str, str] = {
    "users": f"{MAKES_KEYS}, INSERT (erased_at), UPDATE (wrapped, erased_at)",  # erases
    "orders": MAKES_KEYS,
    "fulfillment": MAKES_KEYS,
    "shipping": "SELECT",
    "notifications": "SELECT",
    "projection": "SELECT",
}
"""Services that write or read personal data, and what they may do with persons' keys."""

DATABASE_ROLES: Sequence[str] = tuple(dict.fromkeys((*WRITERS, *READERS)))
"""Services that need a password for the log database."""

READ_ROLES: Mapping[str, str] = {
    "projection": "SELECT, INSERT, UPDATE, DELETE",
    "query": "SELECT",
    "operations": "",
}
"""Services that need a password for the read database, and what they may do with its tables.

Operations sees only how far it is and what was counted there; the others also count there.
"""


MAKES_VERSIONS = """
    GRANT EXECUTE ON FUNCTION
        {schema}.make_version_schema(text, text, text), {schema}.drop_version_schema(text)
    TO {role}
"""
"""The projection creates a schema for each version of a view (docs/decisions/0012-view-versions.md)."""


def role_of(service: str) -> str:
    """The database role of a service."""
    return f"zerocart_{service}"


def vault_grants(service: str) -> list[str]:
    """The statements that let a service use the vault."""
    role = role_of(service)
    return [f"GRANT USAGE ON SCHEMA vault TO {role}", f"GRANT {VAULT[service]} ON vault.keys TO {role}"]


def read_grants(service: str, schema: str) -> list[str]:
    """The statements that let a service use the read database."""
    role, rights = role_of(service), READ_ROLES[service]
    if not rights:
        return [
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"GRANT SELECT ON {schema}.metrics, {schema}.view_versions TO {role}",
        ]
    return [
        *([MAKES_VERSIONS.format(schema=schema, role=role)] if service == "projection" else []),
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT {rights} ON ALL TABLES IN SCHEMA {schema} TO {role}",
        f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.metrics, {schema}.metric_flushes TO {role}",
    ]


def reader_grants(service: str) -> list[str]:
    """The statements that let a reader see the tables of all services."""
    role, reach = role_of(service), READERS[service]
    rights = {
        "events": reach.events, "outbox": reach.outbox, "failures": reach.failures, "metrics": reach.metrics,
        "receipts": reach.receipts,
        "cluster": "SELECT",
    }  # fmt: skip
    return [
        f"GRANT USAGE ON SCHEMA log TO {role}",
        *(f"GRANT {right} ON log.{table} TO {role}" for table, right in rights.items() if right),
    ]
