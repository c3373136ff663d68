"""Sends the requests of an HTTP file, as the editors do that know this format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

__all__ = ["Request", "requests_of", "send"]

VARIABLE = re.compile(r"\{\{([^}]+)\}\}")
COMMENT = re.compile(r"^#(?! @name ).*$", re.M)
NAME = re.compile(r"^# @name (\w+)$", re.M)


@dataclass(frozen=True)
class Request:
    """A request as the file has it, with its variables; `name` may be empty."""

    name: str
    text: str


def requests_of(text: str) -> tuple[dict[str, str], Iterator[Request]]:
    """The variables of a file, and its requests in order."""
    head, *parts = re.split(r"^###.*$", text, flags=re.M)
    variables = dict(re.findall(r"^@(\w+) = (.+)$", head, re.M))
    return variables, (_request(part) for part in parts)


def _request(part: str) -> Request:
    name = NAME.search(part)
    return Request(name[1] if name else "", NAME.sub("", COMMENT.sub("", part)).strip())


def send(client: httpx.Client, request: Request, variables: Mapping[str, str], answers: Mapping[str, Any]) -> Any:
    """The answer; the values of variables come from the file, the environment and earlier answers."""
    text = VARIABLE.sub(lambda match: _value(match[1], variables, answers), request.text)
    head, _, body = text.partition("\n\n")
    line, *headers = head.split("\n")
    method, url = line.split(" ", 1)
    pairs = dict(header.split(": ", 1) for header in headers)
    return client.request(method, url, headers=pairs, content=body or None)


def _value(expression: str, variables: Mapping[str, str], answers: Mapping[str, Any]) -> str:
    if ".response.body." not in expression:
        return variables[expression.removeprefix("$processEnv ")]
    name, _, path = expression.partition(".response.body.")
    found = answers[name]
    for step in path.split("."):
        found = found[step]
    return str(found)
