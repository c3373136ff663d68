"""Compares real answers with the OpenAPI document of the REST interface.

The HTTP clients of tests call `held` for each response, so every request of every test is an example.
"""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import httpx
from jsonschema_rs import Draft202012Validator

from scripts.openapi import DOCUMENT

SEEN: set[str] = set()
"""Operations of which a good answer in JSON was held to the document in this process."""


async def held(answer: httpx.Response) -> None:
    """AssertionError if the document has the operation of this request, but not this answer."""
    if answer.is_success and (name := operation_of(answer.request.method, answer.request.url.path)):
        schema = schemas(name).get(answer.status_code)
        assert schema is not None, f"{name} answers {answer.status_code}, which the document does not say"
        if answer.headers.get("content-type") == "application/json":
            fault = next(iter(schema.iter_errors(json.loads(await answer.aread()))), None)
            assert fault is None, f"{name}: {fault and fault.instance_path}: {fault and fault.message}"
            SEEN.add(name)


@cache
def document() -> dict[str, Any]:
    return json.loads(DOCUMENT.read_text())


@cache
def patterns() -> list[tuple[re.Pattern[str], str]]:
    """The paths of the document, those with the fewest parameters first."""
    paths = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(path))), path) for path in paths]


def operation_of(method: str, path: str) -> str | None:
    found = next((known for pattern, known in patterns() if pattern.fullmatch(path)), None)
    return f"{method} {found}" if found and method.lower() in document()["paths"][found] else None


@cache
def schemas(name: str) -> dict[int, Draft202012Validator]:
    """The schemas of JSON answers, by status."""
    method, path = name.split()
    answers = document()["paths"][path][method.lower()]["responses"]
    return {
        int(status): Draft202012Validator({**_schema(answer), "components": document()["components"]})
        for status, answer in answers.items()
        if status.isdecimal()
    }


def _schema(answer: dict[str, Any]) -> dict[str, Any]:
    return answer.get("content", {}).get("application/json", {}).get("schema", {})
