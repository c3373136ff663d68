"""The download of Kafka's jars: whole files with the right checksum, progress, and a reason with a next step."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tools.knative_local.cache import NoCacheError, cache_folder
from tools.knative_local.kafka_jars import LIST, FetchError, Jar, fetch, read_jars

CONTENT = b"x" * 300_000
JAR = Jar(sha256(CONTENT).hexdigest(), len(CONTENT), "org/example/one/1.0/one-1.0.jar")

Answer = Callable[[BaseHTTPRequestHandler, int], object]


@contextmanager
def repository(answer: Answer) -> Generator[str]:
    """An HTTP server that calls `answer` with the number of the request."""
    count = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal count
            count += 1
            answer(self, count)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, content: bytes, length: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if length is None else length))
    handler.end_headers()
    handler.wfile.write(content)


@pytest.fixture(autouse=True)
def no_maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))


def test_a_jar_is_downloaded_with_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    with repository(lambda handler, _: send(handler, CONTENT)) as url:
        fetch([JAR], tmp_path, seen.append, url)
    assert (tmp_path / JAR.name).read_bytes() == CONTENT
    assert seen == sorted(seen) and seen[-1] == len(CONTENT) and len(seen) > 1


def test_an_interrupted_download_is_retried(tmp_path: Path) -> None:
    def answer(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number == 1:
            send(handler, CONTENT[:1000], len(CONTENT))
        elif number == 2:
            handler.send_error(503)
        else:
            send(handler, CONTENT)

    seen: list[int] = []
    with repository(answer) as url:
        fetch([JAR], tmp_path, seen.append, url)
    assert (tmp_path / JAR.name).read_bytes() == CONTENT
    assert seen[-1] == len(CONTENT)


def test_a_wrong_checksum_leaves_no_file(tmp_path: Path) -> None:
    with (
        repository(lambda handler, _: send(handler, b"y" * len(CONTENT))) as url,
        pytest.raises(FetchError, match="SHA-256"),
    ):
        fetch([JAR], tmp_path, lambda _: None, url)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_sends_nothing_fails_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROCART_FETCH_SECONDS", "0.2")
    ended = threading.Event()
    with repository(lambda _handler, _number: ended.wait(10)) as url:
        with pytest.raises(FetchError, match=r"Run `make setup` again.*ZEROCART_FETCH_SECONDS"):
            fetch([JAR], tmp_path, lambda _: None, url)
        ended.set()


def test_a_jar_in_mavens_cache_is_used_if_its_checksum_matches(tmp_path: Path) -> None:
    copy = tmp_path / "m2" / JAR.path
    copy.parent.mkdir(parents=True)
    folder = tmp_path / "jars"
    folder.mkdir()
    copy.write_bytes(CONTENT)
    fetch([JAR], folder, lambda _: None, "http://127.0.0.1:1")
    assert (folder / JAR.name).read_bytes() == CONTENT
    copy.write_bytes(CONTENT[:-1])
    (folder / JAR.name).unlink()
    with repository(lambda handler, _: send(handler, CONTENT)) as url:
        fetch([JAR], folder, lambda _: None, url)
    assert (folder / JAR.name).read_bytes() == CONTENT


def test_the_list_names_kafka_and_no_address() -> None:
    jars = read_jars(LIST.read_text())
    assert any(jar.name.startswith("kafka_2.13-") for jar in jars)
    assert len({jar.name for jar in jars}) == len(jars)
    assert "://" not in LIST.read_text()


def test_the_cache_is_the_first_writable_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "file"
    file.touch()
    assert cache_folder({"ZEROCART_CACHE": str(tmp_path / "given"), "HOME": "/x"}) == tmp_path / "given"
    assert cache_folder({"HOME": str(tmp_path)}) == tmp_path / ".cache" / "zerocart"
    assert cache_folder({"XDG_CACHE_HOME": str(tmp_path / "xdg")}) == tmp_path / "xdg" / "zerocart"
    assert cache_folder({"HOME": str(file)}) == tmp_path / ".zerocart" / "cache"
    (tmp_path / ".zerocart" / "cache").rmdir()
    (tmp_path / ".zerocart").rmdir()
    (tmp_path / ".zerocart").touch()
    with pytest.raises(NoCacheError, match="ZEROCART_CACHE"):
        cache_folder({"HOME": str(file)})
