"""The privileges that a service's role has in the databases; each service declares them in its grants.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = [
    "ERASES_KEYS", "MAKES_KEYS", "READS_KEYS", "READ_METRICS", "Grants", "log_grants", "other_grants", "read_grants",
    "read_tables", "role_of", "vault_grants",
]  # fmt: skip

READS_KEYS = "SELECT"
MAKES_KEYS = "SELECT, INSERT (person, wrapped)"
ERASES_KEYS = f"{MAKES_KEYS}, INSERT (erased_at), UPDATE (wrapped, erased_at, contact)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """The privileges of one service."""

    history: bool = False
    """Whether it appends events. If so, it has a schema, and a role that appends to its partition of the events."""
    log: Mapping[str, str] = field(default_factory=dict[str, str])
    """Privileges on the tables that contain the rows of all services (`log.events`, `log.outbox`, ...), by table."""
    others: Mapping[str, str] = field(default_factory=dict[str, str])
    """Privileges on tables of other services, by `schema.table`."""
    receipts: bool = False
    """Whether it records, although it has no history, up to which position it has handled the events it receives."""
    vault: str = ""
    """Privileges on the keys of persons: READS_KEYS, MAKES_KEYS or ERASES_KEYS; empty if it reads no personal data.

    A service that erases keys also revokes tokens.
    """
    read: Sequence[str] = ()
    """Statements for the read database, where {schema} and {role} stand for its schema and the service's role."""
    owns_read_schema: bool = False
    """Whether its migrations make tables in the read database instead of in the event store."""

    @property
    def in_event_store(self) -> bool:
        """Whether the service has a role in the database of the event store."""
        return bool(self.history or self.log or self.vault)


READ_METRICS = "GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.metrics, {schema}.metric_flushes TO {role}"


def read_tables(privileges: str) -> tuple[str, ...]:
    """Statements that grant these privileges on all tables of the read database, and the use of its metrics store."""
    return (
        "GRANT USAGE ON SCHEMA {schema} TO {role}",
        f"GRANT {privileges} ON ALL TABLES IN SCHEMA {{schema}} TO {{role}}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role}",
        READ_METRICS,
    )


def role_of(service: str) -> str:
    """The database role of a service."""
    return f"zerocart_{service}"


def vault_grants(service: str, grants: Grants) -> list[str]:
    """The statements that grant a service its rights on the vault."""
    role = role_of(service)
    revocations = "SELECT, INSERT, UPDATE" if grants.vault == ERASES_KEYS else "SELECT"
    return [
        f"GRANT USAGE ON SCHEMA vault TO {role}",
        f"GRANT {grants.vault} ON vault.keys TO {role}",
        f"GRANT {revocations} ON vault.revocations TO {role}",
    ]


def read_grants(service: str, grants: Grants, schema: str) -> list[str]:
    """The statements that grant a service its rights on the read database."""
    return [statement.format(schema=schema, role=role_of(service)) for statement in grants.read]


def log_grants(service: str, grants: Grants) -> list[str]:
    """The statements that grant a service its rights on the tables of all services."""
    role = role_of(service)
    rights = {**grants.log, **dict.fromkeys(("archives", "archived_streams", "epochs"), "SELECT")}
    if grants.receipts:
        rights[f"receipts_{service}"] = "SELECT, UPDATE (position, checked_at, types)"
    return [
        f"GRANT USAGE ON SCHEMA log TO {role}",
        f"GRANT SELECT ON SEQUENCE log.position TO {role}",
        f"GRANT EXECUTE ON FUNCTION log.begin_epoch() TO {role}",
        *(f"GRANT {privileges} ON log.{table} TO {role}" for table, privileges in rights.items()),
    ]


def other_grants(service: str, grants: Grants) -> list[str]:
    """The statements that grant a service its rights on tables of other services."""
    role = role_of(service)
    return [
        *(f"GRANT USAGE ON SCHEMA {table.partition('.')[0]} TO {role}" for table in grants.others),
        *(f"GRANT {privileges} ON {table} TO {role}" for table, privileges in grants.others.items()),
    ]
