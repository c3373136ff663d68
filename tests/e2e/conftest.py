"""Two clusters that test files share; tests/conftest.py has one worker run the files of each.

A cluster of its own costs a file the start of five servers and of every service. Each test has products and people of its
own, and compares totals with those of its beginning.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from pathlib import Path

import pytest
import yaml

from tests.architecture.rules import ROOT
from tests.e2e.local import FORKED, Local, cluster

WELCOME_SECONDS = 30
DURATIONS = json.dumps({"welcome": WELCOME_SECONDS, "follow_up": WELCOME_SECONDS + 5})


# for the tests of this folder only, because each worker's cluster would run beside all other tests
@pytest.fixture(scope="package")
def local(tmp_path_factory: pytest.TempPathFactory) -> Generator[Local]:
    """Services sleep after two seconds."""
    with cluster(tmp_path_factory.mktemp("cluster"), **FORKED) as local:
        yield local


@pytest.fixture(scope="package")
def local_with_accounts(tmp_path_factory: pytest.TempPathFactory) -> Generator[Local]:
    """Mails to new customers are soon due, and callers may say from which address they come."""
    manifests = quicker_manifests(tmp_path_factory.mktemp("manifests") / "knative")
    # longer than the edge keeps a connection: it does not send a request to a process that is ending
    environ = {"ZEROCART_MANIFESTS": str(manifests), "EDGE_TRUSTED_PROXIES": "127.0.0.1/32", "ZEROCART_WINDOW": "4"}
    with cluster(tmp_path_factory.mktemp("cluster"), **environ, **FORKED) as local:
        yield local


def quicker_manifests(folder: Path) -> Path:
    shutil.copytree(ROOT / "knative", folder)
    services = folder / "services.yaml"
    documents = list(yaml.safe_load_all(services.read_text()))
    (users,) = [document for document in documents if document["metadata"]["name"] == "users"]
    (container,) = users["spec"]["template"]["spec"]["containers"]
    container["env"].append({"name": "ZEROCART_DURATIONS_SECONDS", "value": DURATIONS})
    services.write_text(yaml.safe_dump_all(documents))
    return folder
