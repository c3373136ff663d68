"""Real servers for the tests: one Postgres and one Kafka per worker, a fresh database per test."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol, cast

import pytest
from hypothesis import HealthCheck, settings

from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.events.topics import create_topic
from services.kit.eventstore.grants import role_of
from tests.memory import server_folder
from tests.pooler import running_pooler, through
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.postgres import PostgresServer

# speed is measured in tests/bench, never asserted: on a busy machine an example may take any time
settings.register_profile("zerocart", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", settings.get_profile("zerocart"), max_examples=15)
settings.load_profile("zerocart")
# before each request to an application httpx imports it; as it is not installed, all folders would be searched each time
cast("dict[str, Any]", sys.modules).setdefault("sniffio", None)

PARTITIONS = 6
GARBAGE_OBJECTS = (10_000, 20, 20)
IN_CONTAINERS = os.environ.get("ZEROCART_TEST_SERVERS") == "containers"
"""Then Postgres and Kafka are those of their images: `make test-containers`."""
PASSWORDS = {service: f"test-{service}" for service in {*DATABASE_ROLES, *READ_ROLES}}
_numbers = count(1)


FIRST = (
    "tests/e2e/",
    "tests/services/test_openapi.py",
    "tests/services/test_slow_clients.py",
    "tests/tools/test_edge.py",
    "tests/console/",
    "tests/tools/test_gauntlet.py",
)
SHARED = {
    "the console": ("tests/console/",),
    "local": tuple(f"tests/e2e/test_{name}.py" for name in ("local_cluster", "rebuild", "watching")),
    "local_with_accounts": tuple(
        f"tests/e2e/test_{name}.py" for name in ("corrections", "erasure", "quickstart", "users")
    ),
}
"""The files that use one cluster, by its fixture."""
LAST = ("tests/architecture/", "tests/domain/", "tests/sagas/", "tests/model/")


def pytest_configure() -> None:
    gc.disable()  # until all tests are imported, which makes little garbage


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files with the longest tests first and those with the shortest last, so that all workers end together."""
    items.sort(key=_turn)


def pytest_collection_finish() -> None:
    """Exclude what was imported from garbage collection, which would look at all of it again and again."""
    gc.freeze()
    gc.set_threshold(*GARBAGE_OBJECTS)
    gc.enable()


def _turn(item: pytest.Item) -> int:
    turns = [number for number, start in enumerate(FIRST) if item.nodeid.startswith(start)]
    return turns[0] if turns else len(FIRST) + item.nodeid.startswith(LAST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    """With `--dist loadfile`, give a worker one file, the files of one cluster, or one import at a time."""
    from xdist.scheduler import LoadFileScheduling

    class ByCluster(LoadFileScheduling):
        """One unit for the tests that share a cluster."""

        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith("tests/e2e/test_import.py"):
                return nodeid
            return next(
                (shared for shared in SHARED if nodeid.startswith(SHARED[shared])), super()._split_scope(nodeid)
            )

    return ByCluster(config, log) if config.getvalue("dist") == "loadfile" else None


class Server(Protocol):
    """A running Postgres."""

    def dsn(self, database: str = ..., user: str = ..., password: str | None = ...) -> str: ...


@dataclass(frozen=True)
class Database:
    """An empty, migrated pair of databases: event store and read database."""

    server: Server
    name: str
    make_read: Callable[[], object] = bool
    """Makes the read database before its first use: most tests need none."""

    @property
    def owner_dsn(self) -> str:
        return self.server.dsn(self.name)

    @property
    def read_owner_dsn(self) -> str:
        self.make_read()
        return self.server.dsn(f"{self.name}_read")

    def dsn(self, service: str) -> str:
        return self.server.dsn(self.name, role_of(service), PASSWORDS[service])

    def read_dsn(self, service: str) -> str:
        self.make_read()
        return self.server.dsn(f"{self.name}_read", role_of(service), PASSWORDS[service])


@pytest.fixture(scope="session")
def postgres_server() -> Generator[Server]:
    if IN_CONTAINERS:
        with containers().container_postgres() as server:
            yield server
        return
    # no test of this server pulls the plug, and dropping a database waits for the disk more than a second
    settings = {"fsync": "off", "max_wal_size": "256MB", "max_prepared_transactions": "10", "scram_iterations": "1"}
    with server_folder() as folder:
        server = PostgresServer(folder, settings)
        server.start()
        yield server
        server.stop()


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Generator[str]:
    if IN_CONTAINERS:
        with containers().container_kafka() as kafka:
            yield kafka.bootstrap_servers
        return
    with server_folder() as folder:
        server = KafkaServer(folder)
        server.start()
        yield server.bootstrap_servers
        server.stop()


def containers():
    """The module for the container engine, imported only if it is used; skips without an engine."""
    from tests.containers import engine

    if reason := engine.why_no_engine():
        pytest.skip(reason)
    return engine


@pytest.fixture
async def topic(kafka_bootstrap: str) -> str:
    name = f"t{next(_numbers)}"
    await create_topic(kafka_bootstrap, name, PARTITIONS)
    return name


@pytest.fixture(scope="session")
def template(postgres_server: Server) -> str:
    asyncio.run(_migrated(postgres_server, "template"))
    return "template"


async def _migrated(server: Server, name: str) -> None:
    for database in (name, f"{name}_read"):
        await execute(server.dsn(), f'CREATE DATABASE "{database}"')
    await migrate(server.dsn(name), PASSWORDS)
    await migrate_read(server.dsn(f"{name}_read"), PASSWORDS)


@pytest.fixture(scope="session")
def as_owner(postgres_server: Server) -> Generator[Callable[[str], object]]:
    """Executes a statement on one connection and event loop for all tests, because each test has a loop of its own."""
    import asyncpg

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner, ThreadPoolExecutor(1) as thread:
        connection = thread.submit(runner.run, asyncpg.connect(postgres_server.dsn())).result()
        yield lambda statement: thread.submit(runner.run, connection.execute(statement)).result()
        thread.submit(runner.run, connection.close()).result()


@pytest.fixture
def database(postgres_server: Server, template: str, as_owner: Callable[[str], object]) -> Generator[Database]:
    name = f"test_{next(_numbers)}"
    made: set[str] = set()

    def make(suffix: str) -> None:
        if suffix not in made:
            # FILE_COPY takes two thirds of the processor time of WAL_LOG (tests make 2,000 databases)
            as_owner(f'CREATE DATABASE "{name}{suffix}" TEMPLATE "{template}{suffix}" STRATEGY FILE_COPY')
            made.add(suffix)

    make("")
    yield Database(postgres_server, name, lambda: make("_read"))
    for each in made:
        as_owner(f'DROP DATABASE "{name}{each}" WITH (FORCE)')


@dataclass(frozen=True)
class PooledDatabase(Database):
    """The same databases through a pooler in transaction mode; the owner connects to Postgres itself."""

    port: int = 0

    def dsn(self, service: str) -> str:
        return through(super().dsn(service), self.port)

    def read_dsn(self, service: str) -> str:
        return through(super().read_dsn(service), self.port)


@pytest.fixture(scope="session")
def pooler_port(postgres_server: Server) -> Generator[int]:
    with running_pooler(postgres_server.dsn(), PASSWORDS) as port:
        yield port


@pytest.fixture
def pooled_database(database: Database, pooler_port: int) -> PooledDatabase:
    return PooledDatabase(database.server, database.name, database.make_read, pooler_port)


async def execute(dsn: str, *statements: str) -> None:
    import asyncpg

    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@pytest.fixture
def project() -> Path:
    return Path(__file__).parent.parent
