"""Every requirement in pyproject.toml is pinned by hash, and the requirement files agree."""

from __future__ import annotations

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.rules import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SERVED = [*PROJECT["dependencies"], *EXTRAS["tracing"]]
ASKED = {
    "requirements.txt": SERVED,
    "requirements-local.txt": [*SERVED, *EXTRAS["local"]],
    "requirements-tools.txt": [*SERVED, *EXTRAS["tools"]],
    "requirements-dev.txt": [*SERVED, *EXTRAS["local"], *EXTRAS["dev"]],
    "requirements-docs.txt": [*PROJECT["dependencies"], *EXTRAS["docs"]],
}


def pins(text: str) -> dict[str, tuple[str, int]]:
    """The version and the number of hashes of each package; for several pins of a package, those of the last."""
    found: dict[str, tuple[str, int]] = {}
    for entry in re.split(r"\n(?=\S)", text.strip()):
        requirement = Requirement(entry.split("\\")[0].strip())
        (specifier,) = requirement.specifier
        assert specifier.operator == "==", entry
        found[canonicalize_name(requirement.name)] = (specifier.version, entry.count("--hash=sha256:"))
    return found


@pytest.mark.parametrize("file", ASKED)
def test_every_requirement_is_pinned_by_hash(file):
    pinned = pins((ROOT / file).read_text())
    assert not [name for name, (_, hashes) in pinned.items() if not hashes]
    for requirement in map(Requirement, ASKED[file]):
        version, _ = pinned[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"run make lock: {requirement}"


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-local.txt", "requirements-tools.txt"])
def test_the_smaller_sets_are_parts_of_the_largest(file):
    assert pins((ROOT / file).read_text()).items() <= pins((ROOT / "requirements-dev.txt").read_text()).items()


def test_the_site_changes_no_version_that_the_tests_use():
    development, site = (pins((ROOT / f"requirements-{name}.txt").read_text()) for name in ("dev", "docs"))
    common = development.keys() & site.keys()
    assert {name: site[name] for name in common} == {name: development[name] for name in common}


def test_a_pin_without_a_hash_is_reported():
    assert pins("fastapi==1.0 \\\n    --hash=sha256:00\nrich==2.0\n") == {"fastapi": ("1.0", 1), "rich": ("2.0", 0)}
