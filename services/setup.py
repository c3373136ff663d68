"""Makes the databases, schemas, roles and the topic that services need. You can repeat it at any time.

`python -m services.setup` reads
- ZEROCART_OWNER_DATABASE_URL and ZEROCART_READ_OWNER_DATABASE_URL: the two databases, with their owner's password. It
  creates a missing database if the owner has the right to;
- the passwords of the services' roles: from ZEROCART_ROLE_PASSWORDS (a JSON object, service to password) and from the
  URLs `<service>-database-url` and `<service>-read-database-url` in the folder ZEROCART_SECRETS, where the
  services' Secret is mounted. A service has one role, so if both databases are on one server, both URLs must have the
  same password;
- KAFKA_BOOTSTRAP_SERVERS, ZEROCART_TOPIC, ZEROCART_TOPIC_PARTITIONS, ZEROCART_TOPIC_REPLICAS, and the settings that
  `services/kit/config/kafka_security.py` names. Without servers it makes no topic.
Secrets can also be in files (`services/kit/config/secrets.py`).
It waits up to ZEROCART_SETUP_SECONDS for servers that do not answer yet.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.config.kafka_security import KafkaSecurity, kafka_security, plaintext
from services.kit.config.secrets import Secrets
from services.kit.domain.errors import ZerocartError
from services.kit.events.topics import create_topic

__all__ = ["Plan", "main", "set_up"]

PARTITIONS = 6
REPLICAS = 1
WAIT_SECONDS = 60.0
RETRY_SECONDS = 0.5
MAINTENANCE_DATABASE = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The databases, roles and topic that setup makes; it leaves out a part whose address is empty."""

    owner_dsn: str = field(default="", repr=False)
    read_owner_dsn: str = field(default="", repr=False)
    passwords: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    read_passwords: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    bootstrap_servers: str = ""
    topic: str = "zerocart.events"
    partitions: int = PARTITIONS
    replicas: int = REPLICAS
    kafka_security: KafkaSecurity = field(default=plaintext, repr=False)
    wait_seconds: float = WAIT_SECONDS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Plan:
        """The plan in the environment; ZerocartError names the variable that is wrong."""
        secrets = Secrets(environ)
        given = _passwords(secrets.find("ZEROCART_ROLE_PASSWORDS"))
        folder = environ.get("ZEROCART_SECRETS", "")
        return cls(
            owner_dsn=secrets.find("ZEROCART_OWNER_DATABASE_URL"),
            read_owner_dsn=secrets.find("ZEROCART_READ_OWNER_DATABASE_URL"),
            passwords={**_in_urls(folder, DATABASE_ROLES, "database-url"), **given},
            read_passwords={**_in_urls(folder, READ_ROLES, "read-database-url"), **given},
            bootstrap_servers=environ.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            kafka_security=kafka_security(secrets),
            topic=environ.get("ZEROCART_TOPIC", "zerocart.events"),
            partitions=int(environ.get("ZEROCART_TOPIC_PARTITIONS", PARTITIONS)),
            replicas=int(environ.get("ZEROCART_TOPIC_REPLICAS", REPLICAS)),
            wait_seconds=float(environ.get("ZEROCART_SETUP_SECONDS", WAIT_SECONDS)),
        )


async def set_up(plan: Plan) -> None:
    """Make or migrate the databases, and make the topic; ZerocartError if a newer version migrated a database."""
    deadline = time.monotonic() + plan.wait_seconds
    if plan.owner_dsn:
        await _until_connected(lambda: _ensure_database(plan.owner_dsn), deadline)
        await migrate(plan.owner_dsn, plan.passwords)
    if plan.read_owner_dsn:
        await _until_connected(lambda: _ensure_database(plan.read_owner_dsn), deadline)
        await migrate_read(plan.read_owner_dsn, plan.read_passwords)
    if plan.bootstrap_servers:
        left = max(0.0, deadline - time.monotonic())
        await create_topic(
            plan.bootstrap_servers, plan.topic, plan.partitions, left, plan.replicas, plan.kafka_security
        )


async def _until_connected(attempt: Callable[[], Awaitable[None]], deadline: float) -> None:
    import asyncpg

    while True:
        try:
            await attempt()
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def _ensure_database(dsn: str) -> None:
    import asyncpg

    try:
        connection = await asyncpg.connect(dsn)
    except asyncpg.InvalidCatalogNameError:
        await _create_database(dsn)
    else:
        await connection.close()


async def _create_database(dsn: str) -> None:
    import asyncpg

    parts = urlsplit(dsn)
    connection = await asyncpg.connect(parts._replace(path=f"/{MAINTENANCE_DATABASE}").geturl())
    try:
        name: str = await connection.fetchval("SELECT quote_ident($1)", unquote(parts.path.lstrip("/")))
        await connection.execute(f"CREATE DATABASE {name}")
    except (asyncpg.DuplicateDatabaseError, asyncpg.UniqueViolationError):
        return  # another setup was faster
    finally:
        await connection.close()


def _passwords(text: str) -> dict[str, str]:
    try:
        return json.loads(text) if text else {}
    except ValueError as error:
        raise ZerocartError("bad-setting", "ZEROCART_ROLE_PASSWORDS is not JSON") from error


def _in_urls(folder: str, services: Iterable[str], key: str) -> dict[str, str]:
    """The passwords in the URLs of the services that the mounted Secret has, by service."""
    files = {service: Path(folder, f"{service}-{key}") for service in services} if folder else {}
    urls = {service: urlsplit(file.read_text().strip()) for service, file in files.items() if file.is_file()}
    return {service: unquote(url.password) for service, url in urls.items() if url.password}


def main() -> None:
    """Set up and print the result; exits with 1 and the reason if that fails."""
    import asyncpg

    try:
        plan = Plan.from_environment()
        asyncio.run(set_up(plan))
    except (ZerocartError, ValueError, OSError, asyncpg.PostgresError) as error:
        sys.exit(f"setup failed: {error}")
    roles = ", ".join(sorted(plan.passwords)) or "none"
    sys.stdout.write(f"set up: databases, roles ({roles}), topic {plan.topic}\n")


if __name__ == "__main__":
    main()
