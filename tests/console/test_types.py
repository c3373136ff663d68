"""The console's modules keep the types in their comments, says TypeScript, and its pages ask only for routes that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from scripts.openapi import DOCUMENT
from scripts.sections import CONSOLE
from tests.node_tools import CLIENTS, installed, run


def checked(project: Path) -> str:
    """What TypeScript says about a project; empty if nothing is wrong."""
    return str(run(installed(*CLIENTS) / "typescript" / "bin" / "tsc", "--pretty", "false", "-p", project).stdout)


def test_the_modules_of_the_console_keep_their_types():
    assert checked(Path(__file__).parent / "tsconfig.json") == ""


def test_a_wrong_type_is_found(tmp_path: Path):
    config = json.loads((Path(__file__).parent / "tsconfig.json").read_text())
    (tmp_path / "tsconfig.json").write_text(json.dumps(config | {"include": ["*.js"]}))
    (tmp_path / "wrong.js").write_text("/** @param {number} n */\nexport const f = (n) => n.trim();\n")
    assert "TS2339" in checked(tmp_path / "tsconfig.json")


def asked_paths() -> set[str]:
    """The paths in the calls of the REST interface, with `{}` for each variable part."""
    calls = re.compile(
        r'(?:\bget|\bfind|\bsend)\((?:"[A-Z]+", )?["`](/[^"`?]*)["`]|\bpart\("[a-z:]+", ["`](/[^"`]+)["`]'
    )
    found = {a or b for file in CONSOLE.glob("*.js") for a, b in calls.findall(file.read_text())}
    return {re.sub(r"\$\{[^}]*\}+", "{}", path) for path in found}


def test_the_console_asks_only_for_routes_of_the_interface():
    known = {re.sub(r"\{\w+\}", "{}", path) for path in json.loads(DOCUMENT.read_text())["paths"]}
    found = asked_paths()
    assert len(found) > 20
    assert {path for path in found if path not in known} <= {"/users/{}/{}"}
