"""The OpenAPI document passes Spectral and Redocly, and the AsyncAPI document its published schema."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft7Validator

from scripts import asyncapi, openapi
from tests.node_tools import installed, run

SPECTRAL = "@stoplight/spectral-cli@6.16.3"
REDOCLY = "@redocly/cli@2.77.0"
ASYNCAPI = "@asyncapi/specs@6.11.1"


def spectral(folder: Path, document: Path) -> list[str]:
    """The rules that a document breaks, each as often as it is an error."""
    rules = folder / ".spectral.json"
    rules.write_text(json.dumps({"extends": ["spectral:oas"]}))
    program = installed(SPECTRAL) / "@stoplight" / "spectral-cli" / "dist" / "index.js"
    done = run(program, "lint", document, "--ruleset", rules, "--fail-severity", "error", "--format", "json", "--quiet")
    return [each["code"] for each in json.loads(done.stdout[done.stdout.index("[") :]) if each["severity"] == 0]


def redocly(document: Path) -> list[str]:
    """The rules that a document breaks, each as often as it is an error."""
    program = installed(REDOCLY) / "@redocly" / "cli" / "bin" / "cli.js"
    done = run(program, "lint", document, "--extends=recommended", "--format=json")
    found = json.loads(done.stdout[done.stdout.index("{") :])
    return [each["ruleId"] for each in found["problems"] if each["severity"] == "error"]


def test_the_openapi_document_passes_the_linters(tmp_path: Path):
    assert spectral(tmp_path, openapi.DOCUMENT) == []
    assert redocly(openapi.DOCUMENT) == []


def test_the_linters_find_an_error(tmp_path: Path):
    document = json.loads(openapi.DOCUMENT.read_text())
    document["paths"] = {"/orders": {"get": {**document["paths"]["/orders"]["get"], "parameters": {"not": "a list"}}}}
    wrong = tmp_path / "openapi.json"
    wrong.write_text(json.dumps(document))
    assert spectral(tmp_path, wrong)
    assert redocly(wrong)


def test_the_asyncapi_document_is_valid():
    schema = json.loads((installed(ASYNCAPI) / "@asyncapi/specs/schemas/3.0.0-without-$id.json").read_text())
    document = json.loads(asyncapi.DOCUMENT.read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(document)] == []
    del document["operations"]["sendWebhook"]["action"]
    assert [*Draft7Validator(schema).iter_errors(document)]
