"""The import rules that name every service, for the services that have a folder; pyproject.toml has the others."""

from __future__ import annotations

from functools import cache
from itertools import permutations

import grimp
import pytest

from services.folders import SERVICES

READ_MODEL_USERS = {"projection", "query"}
SHARED = ("services.kit", "services.contracts", "services.read_model")


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("services")


def chains(importer: str, imported: str) -> set[tuple[str, ...]]:
    return graph().find_shortest_chains(importer=importer, imported=imported, as_packages=True)


def test_services_do_not_import_each_other():
    pairs = permutations(SERVICES, 2)
    assert not [chain for one, other in pairs for chain in chains(f"services.{one}", f"services.{other}")]


@pytest.mark.parametrize("package", SHARED)
def test_shared_modules_import_no_service(package):
    assert not [chain for name in SERVICES for chain in chains(package, f"services.{name}")]


def test_only_projection_and_query_import_the_read_model():
    others = [name for name in SERVICES if name not in READ_MODEL_USERS]
    assert not [chain for name in others for chain in chains(f"services.{name}", "services.read_model")]


def test_the_rules_find_a_forbidden_import():
    assert chains("services.orders", "services.contracts")
    assert chains("services.query", "services.read_model")
