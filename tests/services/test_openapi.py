"""schemathesis sends generated requests, good, bad and in sequences, to every route, and checks answers by the document.

With ZEROCART_FUZZ_EXAMPLES it sends more, and others each time (`make fuzz`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.services.served import served
from tests.tokens import authorization, customer
from tests.waiting import SECONDS_MAX

CONFIG = Path(__file__).parent / "schemathesis.toml"
EXAMPLES = int(os.environ.get("ZEROCART_FUZZ_EXAMPLES", "8"))
SEED = [] if "ZEROCART_FUZZ_EXAMPLES" in os.environ else ["--seed", "20261123"]

CONDITIONS = ("Idempotency-Key", "If-Match")
EXCEPT = {
    # of `/orders` two services have methods, and neither knows of the other's when it says what is allowed
    "staff": "allow_header_conformance",
    # and somebody whom a customer registers is somebody else, whom that customer cannot see
    "customer": "allow_header_conformance,ensure_resource_availability",
}


def run(url: str, document: Path, headers: dict[str, str], *more: str) -> str:
    """The faults that schemathesis reports; empty if there are none."""
    program = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG), "run", str(document)]
    token = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    bounds = ["--url", url, "--max-examples", str(EXAMPLES), "--continue-on-failure", *SEED]
    bounds += ["--request-timeout", str(SECONDS_MAX)]
    done = subprocess.run([*program, *bounds, *token, *more], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def without_conditions(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the headers that make most generated requests fail: a repeated key, an unknown version."""
    for operations in document["paths"].values():
        for operation in operations.values():
            parameters = operation["parameters"]
            operation["parameters"] = [each for each in parameters if each["name"] not in CONDITIONS]
    return document


@pytest.mark.parametrize("who", ["staff", "customer"])
def test_every_route_answers_as_documented(database, tmp_path, who: str) -> None:
    headers = authorization() if who == "staff" else customer("usr_fuzz")
    # the code that refuses malformed requests is the same for both; a customer sends well-formed ones
    phases = ["examples,coverage,fuzzing,stateful"] if who == "staff" else ["coverage,stateful", "--mode", "positive"]
    with served(database) as (url, document):
        file = tmp_path / "openapi.json"
        file.write_text(json.dumps(document if who == "customer" else without_conditions(document)))
        found = run(url, file, headers, "--exclude-checks", EXCEPT[who], "--phases", *phases)
    assert not found, found[-20_000:]
