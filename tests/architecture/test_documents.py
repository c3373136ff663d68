"""The documents name files that exist, and link to pages that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.architecture.rules import ROOT, text_files

PAGES = sorted(file for file in text_files() if file.suffix == ".md")
TOP = {each.name for each in ROOT.iterdir()} - {"build", "deployed"}  # these two are made by commands
FENCED = re.compile(r"^```.*?^```", re.S | re.M)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"[\w.-]+(?:/[\w.*-]+)+/?|[\w-]+\.(?:md|toml|yaml|yml)")
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


def test_the_architecture_lists_the_rooms_of_the_kit_in_their_order():
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [rule["layers"] for rule in rules if rule["type"] == "layers"]
    table = (ROOT / "docs" / "architecture.md").read_text().partition("### The rooms of the kit")[2]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M) == layers
