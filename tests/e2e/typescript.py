"""The TypeScript client: its types are made of the OpenAPI document, compiled and run with Node."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from scripts.openapi import DOCUMENT
from tests.node_tools import CLIENTS, installed, run

__all__ = ["answer_of", "compiled", "program"]

OPTIONS = (
    "--strict", "--noEmit", "--allowImportingTsExtensions", "--target", "es2022", "--module", "nodenext", "--skipLibCheck",
    "--types", "node",
)  # fmt: skip


def program(folder: Path) -> Path:
    """The program in a folder of its own, with the types of the present document."""
    modules = installed(*CLIENTS)
    (folder / "node_modules").symlink_to(modules)
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    shutil.copy(Path(__file__).with_name("client.ts"), folder)
    made = run(
        modules / "openapi-typescript" / "bin" / "cli.js",
        *(DOCUMENT, "--default-non-nullable=false", "--output", folder / "schema.ts"),
    )
    assert made.returncode == 0, made.stderr
    return folder / "client.ts"


def compiled(source: Path) -> str:
    """What the compiler says; empty if all types fit."""
    tsc = source.parent / "node_modules" / "typescript" / "bin" / "tsc"
    return str(run(tsc, *OPTIONS, source, cwd=source.parent).stdout)


def answer_of(source: Path, *arguments: str) -> Any:
    """What the program prints."""
    done = run(source, *arguments, cwd=source.parent)
    assert done.returncode == 0, (done.stdout, done.stderr)
    return json.loads(done.stdout)
