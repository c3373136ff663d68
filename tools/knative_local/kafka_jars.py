"""The jars of Apache Kafka, each of a known SHA-256, downloaded once: `python -m tools.knative_local.kafka_jars`."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.knative_local.cache import NoCacheError, cache_folder
from tools.terminal import progress

if TYPE_CHECKING:
    import httpx

__all__ = ["KAFKA_VERSION", "FetchError", "Jar", "fetch", "kafka_folder", "missing_jars", "prepare", "read_jars"]

KAFKA_VERSION = "4.4.0"
LIST = Path(__file__).with_suffix(".txt")
"""One line a jar: SHA-256, bytes, coordinates. `scripts/kafka_jars.py` writes it."""
DOWNLOADS_MAX = 6
ATTEMPTS_MAX = 4
READ_SECONDS_MAX = 60.0
"""Without a byte; ZEROCART_FETCH_SECONDS sets another limit."""
CHUNK_BYTES = 65_536
MEGABYTE = 1_000_000

Report = Callable[[int], None]


class FetchError(Exception):
    """A jar could not be downloaded; says which and why, and what to do."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One file of a Maven repository."""

    sha256: str
    size: int
    path: str

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]


def read_jars(text: str) -> Sequence[Jar]:
    """The jars of a list."""
    return [_jar(*line.split()) for line in text.splitlines()]


def _jar(sha256: str, size: str, coordinates: str) -> Jar:
    group, artifact, version = coordinates.split(":")
    return Jar(sha256, int(size), f"{group.replace('.', '/')}/{artifact}/{version}/{artifact}-{version}.jar")


def kafka_folder() -> Path:
    """Where jars and the JVM's class archive are kept."""
    return cache_folder() / f"kafka-{KAFKA_VERSION}"


def prepare() -> list[Path]:
    """The jars, downloaded if they are missing, with progress on stdout; FetchError if that fails.

    Two processes may call it at once: the second waits for the first.
    """
    folder = _jar_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent / "lock"):
        if missing := missing_jars():
            total = sum(jar.size for jar in missing)
            with progress(f"fetching Apache Kafka {KAFKA_VERSION} (MB)", round(total / MEGABYTE)) as bar:
                fetch(missing, folder, lambda done: bar.set(round(done / MEGABYTE)))
    return sorted(folder / jar.name for jar in read_jars(LIST.read_text()))


def missing_jars() -> Sequence[Jar]:
    """The jars that are still to be downloaded."""
    folder = _jar_folder()
    return [jar for jar in read_jars(LIST.read_text()) if not _has(folder, jar)]


def _jar_folder() -> Path:
    return kafka_folder() / "jars"


def fetch(jars: Iterable[Jar], folder: Path, report: Report, repository: str | None = None) -> None:
    """Download jars into `folder`; `report` gets the bytes that are here so far.

    A file appears under its name only when it is whole and its SHA-256 is right. FetchError for the first that fails.
    """
    import httpx

    base = (repository or os.environ.get("ZEROCART_MAVEN_REPOSITORY") or _central()).rstrip("/")
    seconds = float(os.environ.get("ZEROCART_FETCH_SECONDS") or READ_SECONDS_MAX)
    counter = _Counter(report)
    with httpx.Client(timeout=seconds, follow_redirects=True) as client, ThreadPoolExecutor(DOWNLOADS_MAX) as pool:
        downloads = [pool.submit(_fetch_one, client, base, jar, folder, counter) for jar in jars]
        try:
            for download in downloads:
                download.result()
        except BaseException:
            counter.stopped = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class _Counter:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._bytes = 0
        self.stopped = False

    def add(self, count: int) -> None:
        if self.stopped:
            raise FetchError("stopped")
        self._bytes += count
        self._report(self._bytes)


def _fetch_one(client: httpx.Client, base: str, jar: Jar, folder: Path, counter: _Counter) -> None:
    import httpx

    staging = folder / f"{jar.name}.new-{os.getpid()}"
    try:
        if _copy_of_maven(jar, staging):
            counter.add(jar.size)
        else:
            for attempt in range(1, ATTEMPTS_MAX + 1):
                try:
                    _download(client, f"{base}/{jar.path}", jar, staging, counter)
                    break
                except (httpx.HTTPError, OSError) as error:
                    if attempt == ATTEMPTS_MAX or counter.stopped:
                        raise FetchError(_problem(jar, str(error) or type(error).__name__)) from error
        staging.rename(folder / jar.name)
    finally:
        staging.unlink(missing_ok=True)


def _download(client: httpx.Client, url: str, jar: Jar, staging: Path, counter: _Counter) -> None:
    digest, done = hashlib.sha256(), 0
    try:
        with client.stream("GET", url) as answer, staging.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                counter.add(len(chunk))
    except BaseException:
        if not counter.stopped:
            counter.add(-done)
        raise
    if digest.hexdigest() != jar.sha256:
        raise FetchError(_problem(jar, "its SHA-256 is not the one of kafka_jars.txt"))


def _problem(jar: Jar, why: str) -> str:
    return (
        f"Apache Kafka {KAFKA_VERSION} could not be downloaded: {jar.name}: {why}. Run `make setup` again: what is "
        "here already is kept. ZEROCART_MAVEN_REPOSITORY names a mirror, ZEROCART_FETCH_SECONDS a longer wait."
    )


def _copy_of_maven(jar: Jar, staging: Path) -> bool:
    """Take the jar from Maven's own repository of this user if it is there and right."""
    file = Path(os.environ.get("M2_REPO") or Path(os.environ.get("HOME") or "/") / ".m2" / "repository") / jar.path
    try:
        if hashlib.sha256(file.read_bytes()).hexdigest() != jar.sha256:
            return False
        shutil.copyfile(file, staging)
    except OSError:
        return False
    return True


def _central() -> str:
    from jgo.constants import MAVEN_CENTRAL_URL

    return MAVEN_CENTRAL_URL


def _has(folder: Path, jar: Jar) -> bool:
    file = folder / jar.name
    return file.exists() and file.stat().st_size == jar.size


@contextmanager
def _alone(lock: Path) -> Generator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> None:
    """Download what is missing; exits with 1 and the reason if that fails."""
    try:
        prepare()
    except (FetchError, NoCacheError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
