"""The code follows the rules, and each rule finds a fault in a bad example."""

from __future__ import annotations

import ast
import re
from statistics import median

import pytest

from tests.architecture import rules

DOMAINS = sorted([*rules.SERVICES.glob("*/domain.py"), rules.SERVICES / "orders" / "order.py"])
CONTRACTS = sorted((rules.SERVICES / "contracts").glob("*.py"))
CODE = rules.python_files(rules.SERVICES, rules.TOOLS)
ALL = rules.python_files(rules.SERVICES, rules.TOOLS, rules.ROOT / "tests")

MAY_BE_MISSING = {
    (f"tests/{file}.py", "says sk" + "ip(")
    for file in (
        "conftest",
        "containers/conftest",
        "services/conftest",
        "architecture/test_watching",
        "pooler",
        "console/browser",
        "node_tools",
    )
}
"""Where a test says that the machine lacks a container engine, promtool, Go, PgBouncer, Chromium or a package of npm."""


RARE_PROGRAMS = {
    "services/kit/eventstore/archiver.py",
    "services/kit/eventstore/sql/archive_events.sql",
    "services/orders/finished.py",
}
"""Programs of Jobs, which connect once."""


def name(file):
    return str(file.relative_to(rules.ROOT))


@pytest.mark.parametrize("file", DOMAINS, ids=name)
def test_a_domain_is_pure(file):
    assert not list(rules.domain_faults(file.read_text()))


@pytest.mark.parametrize("file", CONTRACTS, ids=name)
def test_contracts_contain_no_mechanism(file):
    assert not list(rules.contract_faults(file.read_text()))


@pytest.mark.parametrize("file", rules.python_files(rules.SERVICES / "kit"), ids=name)
def test_the_kit_names_no_service_no_scope_and_no_provider(file):
    assert not list(rules.kit_faults(file.read_text()))


@pytest.mark.parametrize("file", [*DOMAINS, *CONTRACTS], ids=name)
def test_money_is_never_a_float(file):
    assert not list(rules.money_faults(file.read_text()))


def test_every_module_has_a_docstring():
    assert not [name(file) for file in CODE if not ast.get_docstring(ast.parse(file.read_text()))]


def test_statements_of_services_pass_arrays_as_texts():
    files = [*rules.python_files(rules.SERVICES), *rules.SERVICES.rglob("*.sql")]
    faults = {(name(file), fault) for file in files for fault in rules.array_faults(file.read_text())}
    assert {file for file, _ in faults} <= RARE_PROGRAMS


def test_files_and_functions_stay_readable():
    lengths = [length for file in CODE for _, length in rules.function_lengths(file.read_text())]
    assert max(lengths) <= rules.FUNCTION_LINES_MAX
    assert median(lengths) <= rules.FUNCTION_LINES_MEDIAN
    assert sum(length <= rules.FUNCTION_LINES_USUAL for length in lengths) >= 0.9 * len(lengths)
    assert not [name(file) for file in CODE if len(file.read_text().splitlines()) > rules.FILE_LINES_MAX]


@pytest.mark.parametrize("rule", [rules.swallowed_faults, rules.mocking_faults, rules.unfinished_faults])
def test_no_exception_is_swallowed_nothing_is_mocked_no_test_is_skipped(rule):
    faults = {(name(file), fault) for file in ALL for fault in rule(file.read_text())}
    assert not faults - MAY_BE_MISSING


def test_no_file_is_tied_to_one_machine_or_registry():
    files = list(rules.text_files())
    assert {"Makefile", "pyproject.toml", "requirements-dev.txt", "setup.sh"} <= {file.name for file in files}
    assert not [(name(file), fault) for file in files for fault in rules.naming_faults(file.read_text())]


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (rules.domain_faults, "import uuid"),
        (rules.domain_faults, "from os import environ"),
        (rules.domain_faults, "import datetime"),
        (rules.domain_faults, "from datetime import UTC"),
        (rules.domain_faults, "print(1)"),
        (rules.domain_faults, "async def decide(): ..."),
        (rules.domain_faults, "at = datetime.now()"),
        (rules.domain_faults, "raise ValueError"),
        (rules.contract_faults, "def helper(): ..."),
        (rules.contract_faults, "from services.kit.eventstore.port import EventLog"),
        (rules.contract_faults, "import services.kit.eventstore.connections"),
        (rules.contract_faults, "from services.kit.saga import interpreter"),
        (rules.contract_faults, "from .. import kit"),
        (rules.contract_faults, "total = lambda lines: 0"),
        (rules.kit_faults, 'WRITERS = ("orders",)'),
        (rules.kit_faults, 'ADMIN = "users:admin"'),
        (rules.kit_faults, 'url = environ["ZEROCART_STRIPE_URL"]'),
        (rules.kit_faults, 'create_app = import_module("services.query.app")'),
        (rules.money_faults, "price: float = 1"),
        (rules.money_faults, "price = 1.5"),
        (rules.swallowed_faults, "try: ...\nexcept Exception: pass"),
        (rules.swallowed_faults, "try: ...\nexcept: ..."),
        (rules.array_faults, "SELECT * FROM unnest($1::text[], $2::double precision[])"),
        (rules.mocking_faults, "from unittest import mock"),
        (rules.mocking_faults, "import unittest.mock"),
        (rules.unfinished_faults, "raise NotImpl" + "ementedError"),
        (rules.unfinished_faults, "# TO" + "DO: more"),
        (rules.unfinished_faults, "@pytest.mark.sk" + "ip"),
        (rules.unfinished_faults, "pytest.sk" + "ip('later')"),
        (rules.naming_faults, "at /ho" + "me/ann/x"),
        (rules.naming_faults, "https://py" + "pi.org/simple"),
    ],
)
def test_each_rule_finds_its_bad_example(rule, bad):
    assert list(rule(bad))


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (rules.domain_faults, "from datetime import datetime\nat: datetime"),
        (rules.contract_faults, "from services.kit.saga import messages as saga"),
        (rules.kit_faults, 'query = scope["query_string"]'),
        (rules.money_faults, "price: Decimal = Decimal('1.50')"),
        (rules.swallowed_faults, "try: ...\nexcept KeyError: pass"),
        (rules.swallowed_faults, "try: ...\nexcept Exception as error: failures.append(error)"),
        (rules.array_faults, "SELECT * FROM unnest($1::text[], $2::text[]::integer[])"),
        (rules.naming_faults, "https://example.org/work/1"),
    ],
)
def test_no_rule_reports_the_good_examples(rule, good):
    assert not list(rule(good))


def test_a_nested_function_counts_on_its_own():
    source = "def outer():\n    def inner():\n        return 1\n    return inner\n"
    assert dict(rules.function_lengths(source)) == {"outer": 2, "inner": 2}


def test_every_reader_of_a_service_reads_the_archives_too():
    made = [
        (file, call)
        for file in sorted((rules.ROOT / "services").rglob("*.py"))
        for call in re.findall(r"(?<!class )PostgresEvent(?:Reader|Store)\([^\n]*", file.read_text())
        if "archive=" not in call
    ]
    assert made == []
