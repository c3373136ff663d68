"""hadolint accepts the Dockerfiles without ignoring a rule."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT

HADOLINT = Path(sys.executable).parent / "hadolint"
DOCKERFILES = sorted(path.relative_to(ROOT) for path in (ROOT / "docker").rglob("Dockerfile"))


def hadolint(path: Path) -> subprocess.CompletedProcess[str]:
    command = [str(HADOLINT), "--failure-threshold", "style", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("path", DOCKERFILES, ids=str)
def test_hadolint_finds_nothing(path):
    done = hadolint(path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hadolint" not in (ROOT / path).read_text()
    assert not list(ROOT.glob(".hadolint*"))


def test_hadolint_reports_a_bad_dockerfile(tmp_path):
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /app && pip install fastapi\n")
    done = hadolint(wrong)
    assert done.returncode != 0
    assert {"DL3006", "DL3013"} <= set(done.stdout.split())
