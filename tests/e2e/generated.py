"""The Python client that openapi-python-client generates from the OpenAPI document, as a program of a shop uses it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from scripts.openapi import DOCUMENT
from tests.waiting import SECONDS_MAX

PACKAGE = "zerocart_client"
CONFIG = "content_type_overrides:\n  application/pdf: application/octet-stream\npost_hooks: []\n"
"""The generator knows no PDF; it then reads the answer as a file."""


def generate(folder: Path) -> None:
    """Write the package into a folder and make it importable."""
    config = folder / "config.yaml"
    config.write_text(CONFIG)
    program = Path(sys.executable).parent / "openapi-python-client"
    command = [program, "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", folder / PACKAGE]
    subprocess.run([*command, "--config", config], check=True, capture_output=True, timeout=SECONDS_MAX)
    sys.path.insert(0, str(folder))


_OPENED: list[Any] = []


def close_all() -> None:
    """Close the connections of all programs."""
    for client in _OPENED:
        client.get_httpx_client().close()
    _OPENED.clear()


class Program:
    """A program that calls the edge through the generated client only; without a token it is a visitor."""

    def __init__(self, edge_url: str, token: str = "") -> None:
        client = importlib.import_module(f"{PACKAGE}.client")
        kind = client.AuthenticatedClient if token else client.Client
        self._edge_url = edge_url
        self._client = kind(base_url=f"{edge_url}/v1", timeout=SECONDS_MAX, **({"token": token} if token else {}))
        _OPENED.append(self._client)

    def __call__(self, operation: str, *arguments: str, body: Any = None, **parameters: Any) -> Any:
        """The parsed answer to an operation such as `orders.place_order`; AssertionError if it is refused."""
        answer = self.answer(operation, *arguments, body=body, **parameters)
        assert answer.status_code < 300, (operation, answer.content)
        return answer.parsed

    def answer(self, operation: str, *arguments: str, body: Any = None, **parameters: Any) -> Any:
        """The whole answer; `body` is a pair of the model's name and its content."""
        module: ModuleType = importlib.import_module(f"{PACKAGE}.api.{operation}")
        if body is not None:
            name, content = body
            parameters["body"] = getattr(importlib.import_module(f"{PACKAGE}.models"), name).from_dict(content)
        return module.sync_detailed(*arguments, client=self._client, **parameters)

    def log_in(self, **form: str) -> Program:
        """The same program with a token."""
        issued = self("users.issue_token", body=("IssueTokenBody", form))
        return Program(self._edge_url, issued.access_token)
