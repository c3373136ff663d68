"""Builds Stripe's mock server once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.waiting import SECONDS_MAX

MOCK = "github.com/stripe/stripe-mock@v0.203.0"


@pytest.fixture(scope="session")
def stripe_mock(tmp_path_factory) -> Generator[str]:
    if shutil.which("go") is None:
        pytest.skip("there is no Go here to build Stripe's mock server with")
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zerocart" / MOCK.rpartition("@")[2]
    program = base / "stripe-mock"
    if not program.exists():
        built = subprocess.run(
            ["go", "install", MOCK], env={**os.environ, "GOBIN": str(base)}, capture_output=True, text=True, check=False
        )
        if built.returncode:
            pytest.skip(f"Stripe's mock server cannot be built here: {built.stderr[-200:]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("stripe-mock") / "log").open("w")
    process = subprocess.Popen(
        [program, "-http-addr", f"127.0.0.1:{port}", "-https-addr", "127.0.0.1:0"], stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + SECONDS_MAX
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        log.close()
