"""A fork runs a module as a new Python would: with its words, environment, log and files, and without the parent's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT
from tests.waiting import SECONDS_MAX

REPORT = """
import json, os, signal, sys
open_files = sorted(int(each) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}"))
print(json.dumps({
    "argv": sys.argv[1:], "environ": dict(os.environ), "files": open_files, "name": __name__,
    "handlers": [str(signal.getsignal(each)) for each in (signal.SIGTERM, signal.SIGINT)],
    "loop": asyncio_is_running(), "leader": os.getsid(0) == os.getpid(),
}))
"""
PARENT = """
import asyncio, os, signal, sys
from pathlib import Path
from tools.knative_local.forks import fork, preload
preload(["webhooks"])
log, passed = Path("log"), os.open(os.devnull, os.O_RDONLY)

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, print)
    return fork(MODULE, "one", "two", log=log, environ=ENVIRON, pass_fds=(passed,))

child = asyncio.run(main())
print(child.pid, passed, flush=True)
"""
RUNNING = """
def asyncio_is_running():
    import asyncio
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
"""


def parent_of(folder: Path, child: str, then: str) -> subprocess.Popen[str]:
    """A process that forks the module `child` and then does more."""
    (folder / "child.py").write_text(child)
    settings = f"MODULE, ENVIRON = 'child', {{'ONLY': 'this', 'PYTHONPATH': {str(folder)!r}}}\n"
    (folder / "parent.py").write_text(settings + PARENT + then)
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{folder}", "SECRET": "of the parent"}
    return subprocess.Popen(
        [sys.executable, "parent.py"],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_fork_has_what_it_was_given_and_nothing_of_its_parent(tmp_path: Path):
    parent = parent_of(tmp_path, RUNNING + REPORT, "sys.exit(child.wait())")
    told, _ = parent.communicate(timeout=SECONDS_MAX)
    assert parent.returncode == 0, (told, (tmp_path / "log").read_text())
    said = json.loads((tmp_path / "log").read_text())
    passed = int(told.split()[1])
    assert said["argv"] == ["one", "two"] and said["name"] == "__main__"
    assert said["environ"] == {"ONLY": "this", "PYTHONPATH": str(tmp_path)}
    assert said["files"] == [0, 1, 2, passed]
    assert said["handlers"] == [str(int(signal.SIG_DFL))] * 2
    assert (said["loop"], said["leader"]) == (False, True)


@pytest.mark.parametrize(
    ("child", "status", "told"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit('no vault key')", 1, "no vault key"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
    ],
)
def test_a_fork_ends_as_its_module_ends(tmp_path: Path, child: str, status: int, told: str):
    parent = parent_of(tmp_path, child, "print(child.wait(), child.poll())")
    said, _ = parent.communicate(timeout=SECONDS_MAX)
    assert said.split()[2:] == [str(status)] * 2
    assert told in (tmp_path / "log").read_text()


def test_a_fork_ends_with_its_parent(tmp_path: Path):
    parent = parent_of(tmp_path, "import time\nprint('up', flush=True)\ntime.sleep(1000)", "signal.pause()")
    assert parent.stdout is not None
    child = int(parent.stdout.readline().split()[0])
    deadline = time.monotonic() + SECONDS_MAX
    while (tmp_path / "log").read_text() != "up\n" and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    while runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(child)


def runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
