"""The documents name files that exist, and link to pages that exist."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT, text_files

PAGES = sorted(file for file in text_files() if file.suffix == ".md")
TOP = {each.name for each in ROOT.iterdir()} - {"build", "deployed"}  # these two are made by commands
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)+/?|[\w-]+\.(?:md|toml|yaml|yml)")
PYTHON = re.compile(r"^```python\n(.*?)^```", re.S | re.M)
EXAMPLES = {"PickupCancel", "PickupCancelled"}
"""Classes that the guide says to declare, but does not show."""
DOCUMENT = re.compile(r"(?<![\w/.-])docs/[\w./-]+\.md")


def paths(text: str) -> list[str]:
    """The spans of code that look like a path of this repository."""
    spans = [span.rstrip("/") for span in SPAN.findall(FENCED.sub("", text)) if PATH.fullmatch(span)]
    return [span for span in spans if span.split("/")[0] in TOP]


def exists(path: str) -> bool:
    return any(ROOT.glob(path)) if "*" in path else (ROOT / path).exists()


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_paths_that_a_page_names_exist(page):
    assert not [path for path in paths(page.read_text()) if not exists(path)]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_pages_that_a_page_links_to_exist(page):
    local = [link.split("#")[0] for link in LINK.findall(FENCED.sub("", page.read_text())) if "://" not in link]
    assert not [link for link in local if link and not (page.parent / link).exists()]


def test_the_documents_that_code_names_exist():
    named = {(name(file), path) for file in text_files() for path in DOCUMENT.findall(file.read_text())}
    assert named
    assert not [(file, path) for file, path in named if not (ROOT / path).exists()]


def test_a_missing_path_is_reported():
    found = paths("`services/gone/` and `docs/*.md`, but `a/b`, `POST /orders`\n```\n`services/fenced`\n```\n")
    assert found == ["services/gone", "docs/*.md"]
    assert [exists(path) for path in found] == [False, True]


def names_in(code: str) -> tuple[set[str], set[str]]:
    """The names that code uses, and those that it defines."""
    used, defined = set[str](), set[str]()
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                used.add(name)
            case ast.Name(id=name) | ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.arg(arg=name):
                defined.add(name)
            case ast.AsyncFunctionDef(name=name) | ast.MatchAs(name=str(name)) | ast.alias(name=name):
                defined.add(name)
            case _:
                pass
    return used, defined


def unknown_names(page: str, sources: Iterable[str]) -> set[str]:
    """The names in the Python of a page that neither this Python defines nor the sources have."""
    blocks = [textwrap.dedent(block) for block in PYTHON.findall(page)]
    used, defined = names_in(
        "\n".join(f"match 0:\n{textwrap.indent(b, '    ')}" if b.startswith("case") else b for b in blocks)
    )
    known = {name for source in sources for names in names_in(source) for name in names}
    return used - defined - known - set(dir(builtins))


def test_the_code_of_the_guide_uses_names_of_the_code():
    sources = [file.read_text() for file in (ROOT / "services").rglob("*.py")]
    assert unknown_names((ROOT / "docs" / "adding.md").read_text(), sources) == EXAMPLES


def test_a_name_that_is_gone_is_reported():
    page = "```python\ndef new(a: Gone) -> None:\n    known(a, gone=1)\n```\n```python\ncase New():\n    pass\n```\n"
    assert unknown_names(page, ["known()"]) == {"Gone", "gone", "New"}


def test_the_architecture_lists_the_packages_of_the_kit_in_their_order():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [rule["layers"] for rule in rules if rule["type"] == "layers"]
    table = (ROOT / "docs" / "architecture.md").read_text().partition("### The packages of the kit")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == layers
