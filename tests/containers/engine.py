"""A container engine, Postgres and Kafka on it by testcontainers, and compose through its command line."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from tests.architecture.rules import ROOT

COMPOSED = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
POSTGRES_IMAGE, KAFKA_IMAGE = COMPOSED["postgres"]["image"], COMPOSED["kafka"]["image"]
KAFKA_PORT = 9094
ENGINE_SECONDS_MAX = 20.0
COMMAND_SECONDS_MAX = 900.0

testcontainers_config.ryuk_disabled = True  # a container more; every one here is stopped by the block that started it


def why_no_engine() -> str:
    """Empty if there is a container engine with Compose."""
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, timeout=ENGINE_SECONDS_MAX, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"no container engine: {error}"
        if done.returncode:
            return f"no container engine: `{' '.join(command)}` failed"
    return ""


def run(*command: str, environ: Mapping[str, str] | None = None, check: bool = True) -> str:
    """The output of a command; AssertionError with its output and errors if it fails."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(environ or {})}, capture_output=True, text=True,
        timeout=COMMAND_SECONDS_MAX, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def lines(*command: str, environ: Mapping[str, str]) -> Generator[str]:
    """The lines of a command's output as they come; AssertionError if the command fails."""
    environment = {**os.environ, **environ}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        too_long = threading.Timer(COMMAND_SECONDS_MAX, process.kill)
        too_long.start()
        try:
            yield from process.stdout
        finally:
            too_long.cancel()
    assert process.returncode == 0, f"{' '.join(command)} ended with {process.returncode}"


def until(condition: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
    return found


class ContainerPostgres:
    """A Postgres in a container, with the interface of the local one."""

    def __init__(self, container: PostgresContainer) -> None:
        self._container = container
        self._place = f"{container.get_container_host_ip()}:{container.get_exposed_port(5432)}"

    def dsn(self, database: str = "postgres", user: str = "postgres", password: str | None = None) -> str:
        return f"postgresql://{user}:{password or self._container.password}@{self._place}/{database}"


@contextmanager
def container_postgres() -> Generator[ContainerPostgres]:
    container = PostgresContainer(POSTGRES_IMAGE, username="postgres", password="only-for-tests", dbname="postgres")
    container.with_command("postgres -c max_connections=200 -c max_prepared_transactions=10")
    with container:
        yield ContainerPostgres(container)


class ContainerKafka(DockerContainer):
    """Apache's image of Kafka. The broker must announce its published port, which is known only when the container runs."""

    def __init__(self) -> None:
        super().__init__(KAFKA_IMAGE)
        self.with_exposed_ports(KAFKA_PORT)
        self.with_command(["sh", "-c", "until [ -f /tmp/start ]; do sleep 0.1; done; exec sh /tmp/start"])
        listeners = f"HOST://:{KAFKA_PORT},BROKER://:9092,CONTROLLER://:9093"
        settings = {
            "NODE_ID": "1",
            "PROCESS_ROLES": "broker,controller",
            "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "LISTENERS": listeners,
            "LISTENER_SECURITY_PROTOCOL_MAP": "HOST:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "INTER_BROKER_LISTENER_NAME": "BROKER",
            "AUTO_CREATE_TOPICS_ENABLE": "false",
            "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "OFFSETS_TOPIC_NUM_PARTITIONS": "4",
            "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }
        for name, value in settings.items():
            self.with_env(f"KAFKA_{name}", value)

    @property
    def bootstrap_servers(self) -> str:
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(KAFKA_PORT)}"

    def begin(self) -> None:
        """Write the start script of the broker when its published port is known."""
        script = (
            f"export KAFKA_ADVERTISED_LISTENERS=HOST://{self.bootstrap_servers},BROKER://$(hostname -i):9092\n"
            "exec /etc/kafka/docker/run\n"
        )
        self.get_wrapped_container().put_archive("/tmp", _archive("start", script))
        LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(120).wait_until_ready(self)


@contextmanager
def container_kafka() -> Generator[ContainerKafka]:
    with ContainerKafka() as container:
        container.begin()
        yield container


def _archive(name: str, text: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(text.encode()), 0o644
        archive.addfile(member, io.BytesIO(text.encode()))
    return file.getvalue()
