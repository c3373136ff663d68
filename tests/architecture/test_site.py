"""The documentation site has every page, every route and every package of the kit; `make docs` checks its links."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from scripts.openapi import DOCUMENT
from scripts.site import METHODS, kit_packages, moved, pages
from tests.architecture.rules import ROOT

GENERATED = dict(pages())


def files_of(entry: object) -> Iterator[str]:
    match entry:
        case str():
            yield entry
        case dict():
            for value in entry.values():
                yield from files_of(value)
        case list():
            for value in entry:
                yield from files_of(value)


def test_the_navigation_names_every_page_once():
    named = sorted(files_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    copied = [str(file.relative_to(ROOT / "docs")) for file in (ROOT / "docs").rglob("*.md")]
    assert named == sorted([*copied, *GENERATED])


def test_the_rest_page_has_every_operation():
    paths = json.loads(DOCUMENT.read_text())["paths"]
    operations = [f"{method.upper()} {path}" for path, each in paths.items() for method in METHODS if method in each]
    assert len(operations) > 40
    assert not [operation for operation in operations if f"### `{operation}`\n" not in GENERATED["reference/rest.md"]]


@pytest.mark.parametrize("package", kit_packages())
def test_the_page_of_a_package_has_every_module(package):
    folder = ROOT / "services" / "kit" / package
    modules = [file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")]
    page = GENERATED[f"reference/kit/{package}.md"]
    assert not [name for name in modules if f"::: services.kit.{package}.{name}\n" not in page]


@pytest.mark.parametrize(
    ("link", "source", "within"),
    [
        ("docs/adding.md", "README.md", "adding.md"),
        ("docs/architecture.svg", "README.md", "architecture.svg"),
        ("CONTRIBUTING.md#tests", "README.md", "contributing.md#tests"),
        ("../CONTRIBUTING.md", "docs/adding.md", "contributing.md"),
        ("../../README.md", "docs/decisions/0001-fastapi-loads-late.md", "../index.md"),
        ("0012-view-versions.md", "docs/decisions/0001-fastapi-loads-late.md", "0012-view-versions.md"),
        ("README.md", "docs/decisions/0001-fastapi-loads-late.md", "README.md"),
        ("https://example.org/README.md", "README.md", "https://example.org/README.md"),
    ],
)
def test_links_lead_to_the_same_page_within_the_site(link, source, within):
    assert moved(f"see [it]({link})", source) == f"see [it]({within})"


def test_link_to_code_becomes_its_text():
    assert moved("see [`a.py`](services/a.py) and [it](docs/adding.md#an-event)", "README.md") == (
        "see `a.py` and [it](adding.md#an-event)"
    )
