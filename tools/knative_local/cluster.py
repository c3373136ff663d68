"""The local cluster: servers, sockets, delivery, clock, edge and mail sink, started in order and kept running.

Every child ends with the cluster, however that ends (see `child.py`); the next start continues from the state folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from services.databases import DATABASE_ROLES, READ_ROLES, migrate, migrate_read
from services.kit.events.topics import create_topic
from services.kit.eventstore.grants import role_of
from tools.knative_local.clock import KEPT, PingClock
from tools.knative_local.control import ERASURES, ControlServer
from tools.knative_local.delivery.identity import ISSUER, SUBJECT, Identity
from tools.knative_local.forks import fork, preload
from tools.knative_local.free_cores import FreeCores
from tools.knative_local.kafka import KafkaServer
from tools.knative_local.kafka_jars import missing_jars
from tools.knative_local.mail_sink import MailSink
from tools.knative_local.manifests import Manifests, Service, read_manifests
from tools.knative_local.ports import free_port, holder_of, is_free, listens_alone
from tools.knative_local.postgres import PostgresServer
from tools.knative_local.process import (
    Process,
    ServerFailedError,
    StartModule,
    spawn,
    spawn_module,
    stop,
    wait_for_port,
    wrapped,
)  # fmt: skip
from tools.knative_local.revision import TICK_SECONDS, Revision, listen
from tools.knative_local.secrets import local_secrets, require_vault_key
from tools.knative_local.settings import folder, port, seconds
from tools.knative_local.state import Running, State
from tools.knative_local.view_build import ViewBuild

__all__ = ["PASSED_ON", "Cluster", "Options"]

LOG_DATABASE = "zerocart"
READ_DATABASE = "zerocart_read"
PARTITIONS = 6
WINDOW_SECONDS = 10.0
SERVER_RESTART_SECONDS = 1.0
EDGE_PORT = 8080
EDGE_SETTINGS = ("EDGE_TRUSTED_PROXIES", "ZEROCART_CORS_ORIGINS")
PASSED_ON = (
    "PATH", "HOME", "LANG", "LOG_LEVEL", "ZEROCART_CORS_ORIGINS", "ZEROCART_RATES", "ZEROCART_TIME_ZONE",
    "ZEROCART_DELIVERY_SECONDS", "ZEROCART_MISSED_CHECK_SECONDS", "ZEROCART_RETENTION_DAYS",
    "ZEROCART_CAPTURE", "ZEROCART_CURRENCY", "ZEROCART_MAILS_OFF", "ZEROCART_MAIL_FROM", "ZEROCART_MAIL_LANGUAGE",
    "ZEROCART_MAIL_WHEN_PLACED", "ZEROCART_ORDER_NUMBER_PREFIX", "ZEROCART_SHOP_ADDRESS", "ZEROCART_SHOP_NAME",
    "ZEROCART_SHOP_RULES", "ZEROCART_SHOP_TAX_ID", "ZEROCART_SHOP_URL",
    "ZEROCART_WEBHOOK_HTTP", "ZEROCART_WEBHOOK_NETWORKS", "ZEROCART_WEBHOOK_PORTS",
)  # fmt: skip
"""Variables that every service gets from this process."""
DEFAULTS = {
    "ZEROCART_WEBHOOK_HTTP": "true", "ZEROCART_WEBHOOK_NETWORKS": "127.0.0.0/8,::1/128", "ZEROCART_WEBHOOK_PORTS": "*",
}  # fmt: skip
"""Webhooks may go to receivers on this machine: the edge listens on loopback only, so whoever registers one is here."""
EDGE_STOP_SECONDS_MAX = 10.0
DELIVERY_STOP_SECONDS_MAX = 30.0
PROJECT = Path(__file__).parent.parent.parent
CLOCK_URL_ON_A_CLUSTER = "https://kubernetes.default.svc"
JOB_SINKS_ON_A_CLUSTER = "http://job-sink.knative-eventing.svc.cluster.local"
BUILD_STOP_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to run; an empty address means a server of the cluster's own."""

    state: State
    archive: Path
    manifests: Path = PROJECT / "knative"
    caddyfile: Path = PROJECT / "docker" / "edge" / "Caddyfile"
    edge_port: int = EDGE_PORT
    window_seconds: float = WINDOW_SECONDS
    owner_dsn: str = ""
    read_owner_dsn: str = ""
    bootstrap_servers: str = ""
    fork: bool = False

    @classmethod
    def from_environment(cls) -> Options:
        """The options that ZEROCART_* variables set; BadSettingError if one cannot be used."""
        environ, state = os.environ, State.from_environment()
        return cls(
            state=state,
            archive=folder("ZEROCART_ARCHIVE", state.home / "archive").absolute(),
            manifests=folder("ZEROCART_MANIFESTS", PROJECT / "knative"),
            edge_port=port("ZEROCART_EDGE_PORT", EDGE_PORT),
            window_seconds=seconds("ZEROCART_WINDOW", WINDOW_SECONDS),
            owner_dsn=environ.get("ZEROCART_OWNER_DATABASE_URL", ""),
            read_owner_dsn=environ.get("ZEROCART_READ_OWNER_DATABASE_URL", ""),
            bootstrap_servers=environ.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            fork=environ.get("ZEROCART_FORK") == "1",
        )


class Cluster:
    """One running cluster; to be used from the main thread only."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._home = options.state.home
        self._manifests: Manifests = read_manifests(options.manifests)
        self.postgres = PostgresServer(self._home / "postgres")
        self.kafka = KafkaServer(self._home / "kafka")
        self.mail = MailSink(self._home / "mail")
        self.revisions: dict[str, Revision] = {}
        self._cores = FreeCores()
        self.clock: PingClock | None = None
        self._children: dict[str, tuple[Callable[[], Process], Process]] = {}
        self._ports: dict[str, int] = {}
        self._closing = False
        self._last_fault = ""
        self._builds: list[ViewBuild] = []
        self._launch: StartModule = fork if options.fork else spawn_module

    async def run(self, ready: Callable[[Running], None]) -> None:
        """Start, call `ready`, stay up until SIGTERM or SIGINT, stop in order; either signal also ends the start."""
        stopping = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
        lock = self._options.state.lock()
        os.umask(0o077)  # mails, logs and secrets are for the owner alone
        try:
            running = await self._start_unless(stopping)
            if running is not None:
                ready(running)
                await self._keep_running(stopping)
        finally:
            await self._stop()
            os.close(lock)

    async def _start_unless(self, stopping: asyncio.Event) -> Running | None:
        """Start; None if the cluster is told to stop meanwhile."""
        start, told = asyncio.ensure_future(self._start()), asyncio.ensure_future(stopping.wait())
        await asyncio.wait({start, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if start.done():
            return start.result()
        self._say("stopping before the start is complete")
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
        return None

    async def _start(self) -> Running:
        self._must_be_free(self._options.edge_port)
        self._options.state.folder("archive")
        await self._start_servers()
        topic = self._manifests.brokers[0].topic
        passwords = self._options.state.passwords({*DATABASE_ROLES, *READ_ROLES})
        self._say("migrating the databases")
        await self._databases(passwords)
        await require_vault_key(self._options.state, self._dsn(LOG_DATABASE))
        await create_topic(self._bootstrap, topic, PARTITIONS)
        self._ports = {name: int(port) for name, port in self._options.state.ports().items()}
        self._ports["smtp"] = await self.mail.start(self._free(self._ports.get("smtp", 0)))
        listeners = {service.name: listen(self._ports.get(service.name, 0)) for service in self._manifests.services}
        self._ports |= {name: listener.getsockname()[1] for name, listener in listeners.items()}
        base_urls = {name: f"http://127.0.0.1:{self._ports[name]}" for name in listeners}
        control = ControlServer(self, self.mail.forget, self.build_views)
        self._ports["control"] = await control.start(self._free(self._ports.get("control", 0)))
        secrets = self._secrets(passwords)
        for service in self._manifests.services:
            environ = self._environ(service, base_urls, secrets)
            local = replace(service, window_seconds=self._options.window_seconds)
            log = self._log(service.name)
            self.revisions[service.name] = Revision(
                local, listeners[service.name], environ, log, self._cores, self._launch
            )
        if self._options.fork:
            preload(self.revisions)
        self.build_views()
        sources = {source.name: source for source in self._manifests.ping_sources}
        self.clock = PingClock(sources, base_urls, self._home / KEPT, Identity(secrets["delivery-key"]))
        self._start_delivery(base_urls, secrets["delivery-key"])
        self._start_edge()
        await self._wait_for_edge()
        self._options.state.remember_ports(self._ports)
        running = Running(
            pid=os.getpid(),
            edge_url=f"http://127.0.0.1:{self._options.edge_port}",
            control_url=f"http://127.0.0.1:{self._ports['control']}",
            owner_dsn=self._dsn(LOG_DATABASE),
            read_owner_dsn=self._dsn(READ_DATABASE),
            admin_dsn=self._options.owner_dsn or self.postgres.dsn(),
            bootstrap_servers=self._bootstrap,
            topic=topic,
            archive=str(self._options.archive),
        )
        self._options.state.write_running(running)
        return running

    async def _start_servers(self) -> None:
        """Start the servers of our own; a wait runs in a thread, so that a signal is noticed meanwhile."""
        if not self._options.bootstrap_servers:
            await self._fetch_kafka()
        if not self._options.owner_dsn:
            self._say("starting Postgres")
            self.postgres.begin()
            await asyncio.to_thread(self.postgres.wait, self._say)
        if not self._options.bootstrap_servers:
            self._say("starting Apache Kafka")
            self.kafka.begin()
            await asyncio.to_thread(self.kafka.wait, self._say)

    async def _fetch_kafka(self) -> None:
        """Download Kafka in a process of its own, which can be stopped; its progress goes to our output."""
        if not missing_jars():
            return
        command = wrapped([sys.executable, "-m", "tools.knative_local.kafka_jars"])
        environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
        process = await asyncio.create_subprocess_exec(*command, env=environ, stderr=asyncio.subprocess.PIPE)
        try:
            _, problem = await process.communicate()
        finally:
            if process.returncode is None:
                process.terminate()
        if process.returncode:
            raise ServerFailedError(problem.decode(errors="replace").strip())

    def _must_be_free(self, port: int) -> None:
        if not is_free(port):
            raise ServerFailedError(
                f"Port {port} is in use by {holder_of(port) or 'another program'}. "
                "Stop that, or choose another port with ZEROCART_EDGE_PORT."
            )

    async def _wait_for_edge(self) -> None:
        process, port = self._children["edge"][1], self._options.edge_port
        await asyncio.to_thread(wait_for_port, "the edge", process, port, self._log("edge"), self._say)
        if not listens_alone(process.pid, port):  # another cluster started at the same moment
            raise ServerFailedError(
                f"Port {port} is shared with another program. Choose another port with ZEROCART_EDGE_PORT."
            )

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"

    @property
    def _bootstrap(self) -> str:
        return self._options.bootstrap_servers or self.kafka.bootstrap_servers

    def _dsn(self, database: str) -> str:
        given = {LOG_DATABASE: self._options.owner_dsn, READ_DATABASE: self._options.read_owner_dsn}[database]
        return given or self.postgres.dsn(database)

    async def _databases(self, passwords: Mapping[str, str]) -> None:
        if not self._options.owner_dsn:
            import asyncpg

            connection = await asyncpg.connect(self.postgres.dsn())
            try:
                for database in (LOG_DATABASE, READ_DATABASE):
                    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", database):
                        await connection.execute(f"CREATE DATABASE {database}")
            finally:
                await connection.close()
        await migrate(self._dsn(LOG_DATABASE), passwords)
        await migrate_read(self._dsn(READ_DATABASE), passwords)

    def _secrets(self, passwords: Mapping[str, str]) -> dict[str, str]:
        """The content of the Secret `zerocart` and the Broker's ConfigMap on Kubernetes."""
        found = {
            **local_secrets(self._options.state),
            "bootstrap.servers": self._bootstrap,
            "smtp-url": f"smtp://127.0.0.1:{self._ports['smtp']}",
        }
        for service, password in passwords.items():
            found[f"{service}-database-url"] = _as_role(self._dsn(LOG_DATABASE), service, password)
            found[f"{service}-read-database-url"] = _as_role(self._dsn(READ_DATABASE), service, password)
        return found

    def _environ(self, service: Service, base_urls: Mapping[str, str], secrets: Mapping[str, str]) -> dict[str, str]:
        environ = DEFAULTS | {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environ |= {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}
        environ["PYTHONPATH"] = str(PROJECT)
        environ["ZEROCART_ARCHIVE"] = str(self._options.archive)
        for name, value in service.env.items():
            environ[name] = self._local(value, base_urls)
        for name, reference in service.secret_env.items():
            environ[name] = secrets[reference.partition("/")[2]]
        if service.name == "operations":  # a dead letter names an address; on Kubernetes its host is the service's name
            environ["ZEROCART_SERVICE_URLS"] = json.dumps(dict(base_urls))
        # on Kubernetes this is Eventing's OIDC identity (docs/deploy.md)
        environ["ZEROCART_EVENTS_ISSUER"], environ["ZEROCART_EVENTS_SUBJECTS"] = ISSUER, SUBJECT
        environ["ZEROCART_EVENTS_KEYS"] = secrets["events-keys"]
        return environ

    def _local(self, value: str, base_urls: Mapping[str, str]) -> str:
        for url in (CLOCK_URL_ON_A_CLUSTER, JOB_SINKS_ON_A_CLUSTER):
            value = value.replace(url, f"http://127.0.0.1:{self._ports['control']}")
        for name, url in base_urls.items():
            value = value.replace(f"http://{name}.zerocart.svc.cluster.local", url)
        return value

    def build_views(self) -> None:
        """Start the process that builds views, as a JobSink starts its Job."""
        environ, log = self.revisions["projection"].environ, self._home / "logs" / "build-views.log"
        self._builds.append(ViewBuild(lambda: self._launch("services.projection.build", log=log, environ=environ)))

    def _start_delivery(self, base_urls: Mapping[str, str], key: str) -> None:
        self._ports["delivery"] = self._free(self._ports.get("delivery", 0)) or free_port()
        environ = {
            **os.environ,
            "ZEROCART_MANIFESTS": str(self._options.manifests),
            "KAFKA_BOOTSTRAP_SERVERS": self._bootstrap,
            "ZEROCART_SERVICE_URLS": json.dumps(dict(base_urls)),
            "ZEROCART_NAMESPACE": "zerocart",
            "ZEROCART_STATUS_PORT": str(self._ports["delivery"]),
            "ZEROCART_DELIVERY_KEY": key,
            "ZEROCART_ERASURES_URL": f"http://127.0.0.1:{self._ports['control']}{ERASURES}",
            "PYTHONPATH": str(PROJECT),
        }
        module, log = "tools.knative_local.delivery", self._log("delivery")
        # Kafka dies with the cluster, so delivery could not commit its offsets any more
        died = signal.SIGKILL
        self._keep("delivery", lambda: self._launch(module, log=log, environ=environ, death_signal=died))

    def _start_edge(self) -> None:
        upstreams = {f"{name.upper()}_UPSTREAM": f"127.0.0.1:{self._ports[name]}" for name in self.revisions}
        environ = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(self._home),
            "XDG_CONFIG_HOME": str(self._home / "edge"),
            "XDG_DATA_HOME": str(self._home / "edge"),
            "EDGE_PORT": str(self._options.edge_port),
            "EDGE_BIND": "127.0.0.1",
            "EDGE_FILES": str(self._options.caddyfile.parent),
            **{name: os.environ[name] for name in EDGE_SETTINGS if name in os.environ},
            **upstreams,
        }
        caddy = Path(sys.executable).parent / "caddy"
        command = [str(caddy), "run", "--config", str(self._options.caddyfile), "--adapter", "caddyfile"]
        self._keep("edge", lambda: spawn(command, log=self._log("edge"), environ=environ))

    def _keep(self, name: str, start: Callable[[], Process]) -> None:
        self._children[name] = (start, start())

    async def _keep_running(self, stopping: asyncio.Event) -> None:
        checked_at = 0.0
        while not stopping.is_set():
            self._cores.measure()
            for revision in self.revisions.values():
                self._despite_faults(revision.tick)
            if time.monotonic() - checked_at > SERVER_RESTART_SECONDS:
                checked_at = time.monotonic()
                self._restart_what_died()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), TICK_SECONDS)

    def _restart_what_died(self) -> None:
        for restart in (self._restart_postgres, self._restart_kafka, self._restart_builds, self._restart_children):
            self._despite_faults(restart)

    def _despite_faults(self, work: Callable[[], None]) -> None:
        """Do the work, which is tried again later if the machine refuses it: its disk is full, say."""
        try:
            work()
        except (OSError, ServerFailedError) as error:
            if (told := str(error)) != self._last_fault:
                self._last_fault = told
                with contextlib.suppress(OSError):  # the log may be on the same disk
                    self._say(f"tried again later: {told}")

    def _restart_postgres(self) -> None:
        if not self._options.owner_dsn and not self.postgres.alive():
            self.postgres.require_room()
            self._say("Postgres died: starting it again")
            self.postgres.begin()  # not waited for: its clients retry, and so do we if this one dies

    def _restart_kafka(self) -> None:
        if not self._options.bootstrap_servers and not self.kafka.alive():
            self.kafka.require_room()
            self._say("Kafka died: starting it again")
            self.kafka.begin()

    def _restart_builds(self) -> None:
        self._builds = [build for build in self._builds if build.goes_on()]

    def _restart_children(self) -> None:
        for name, (start, process) in list(self._children.items()):
            if process.poll() is not None:
                if name == "edge" and not is_free(self._options.edge_port):
                    continue  # it would share the port with the program that has it now
                self._say(f"{name} died: starting it again")
                self._children[name] = (start, start())

    async def _stop(self) -> None:
        self._options.state.forget_running()
        self._stop_child("edge", EDGE_STOP_SECONDS_MAX)
        self._stop_child("delivery", DELIVERY_STOP_SECONDS_MAX)
        for build in self._builds:
            stop(build.process, signal.SIGTERM, BUILD_STOP_SECONDS_MAX)
        if self.clock is not None:
            await self.clock.stop()
        await asyncio.gather(*(revision.close() for revision in self.revisions.values()))
        self.mail.stop()
        self.kafka.stop()
        self.postgres.stop()

    def _stop_child(self, name: str, seconds_max: float) -> None:
        if name in self._children:
            stop(self._children[name][1], signal.SIGTERM, seconds_max)

    def _free(self, port: int) -> int:
        """The port if it is free, else 0."""
        if not port:
            return 0
        probe = listen(port)
        bound: int = probe.getsockname()[1]
        probe.close()
        return port if bound == port else 0

    def status(self) -> dict[str, object]:
        """The processes, queues and addresses of the cluster."""
        return {
            "edge_url": f"http://127.0.0.1:{self._options.edge_port}",
            "processes": sum(len(revision.pods) for revision in self.revisions.values()),
            "services": {name: revision.status() for name, revision in self.revisions.items()},
            "pids": {
                "postgres": self.postgres.pid,
                "kafka": self.kafka.pid,
                **{name: process.pid for name, (_, process) in self._children.items()},
                **{f"build-views-{build.process.pid}": build.process.pid for build in self._builds if build.runs},
            },
            "delivery_url": f"http://127.0.0.1:{self._ports.get('delivery', 0)}",
            "mails": {"kept": self.mail.count(), "repeats": self.mail.repeats},
            "clock": self.clock.next_times() if self.clock else {},
        }


def _as_role(owner_dsn: str, service: str, password: str) -> str:
    scheme, rest = owner_dsn.split("://", 1)
    return f"{scheme}://{role_of(service)}:{password}@{rest.rpartition('@')[2]}"
