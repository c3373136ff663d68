"""The rules of DESIGN section 12 and STYLE, as functions from source text to what is wrong with it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SERVICES = ROOT / "services"
FUNCTION_LINES_MAX = 80
FUNCTION_LINES_USUAL = 40
FILE_LINES_MAX = 450
FORBIDDEN_IN_DOMAIN = {
    "asyncio", "time", "uuid", "random", "secrets", "os", "logging", "socket", "sqlalchemy", "asyncpg", "aiokafka",
    "fastapi", "starlette", "httpx",
}  # fmt: skip
CLOCK_CALLS = {"now", "utcnow", "today"}
REGISTRY = re.compile(
    r"https?://[a-z0-9.-]*(" + "|".join(["py" + "pi", "pythonh" + "osted", "npm" + "js", "mav" + "en"]) + ")"
)
MACHINE_PATH = re.compile(r"(^|[^A-Za-z0-9_.])/(wo" + "rk|ro" + "ot|ho" + "me)/")


def python_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py") if "__pycache__" not in file.parts)


def domain_faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.AsyncFunctionDef() | ast.Await():
                yield "is asynchronous"
            case ast.Import(names=names):
                yield from (f"imports {name.name}" for name in names if name.name.split(".")[0] in FORBIDDEN_IN_DOMAIN)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in FORBIDDEN_IN_DOMAIN:
                yield f"imports {module}"
            case ast.Call(func=ast.Attribute(attr=str(name))) if name in CLOCK_CALLS:
                yield f"asks the clock ({name})"
            case ast.Raise():
                yield "raises: a domain answers"
            case _:
                pass


def contract_faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)):
                yield f"has a function, {name}"
            case ast.ImportFrom(module=str(module)) if module.startswith("services.") and not module.startswith(
                ("services.contracts", "services.kit.message", "services.kit.saga")
            ):
                yield f"imports {module}"
            case _:
                pass


def money_faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id="float"):
                yield f"line {node.lineno}: float"
            case ast.Constant(value=float()):
                yield f"line {node.lineno}: a float literal"
            case _:
                pass


def swallowed_faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and all(isinstance(part, ast.Pass) for part in node.body):
            kinds = ast.unparse(node.type) if node.type else "everything"
            if kinds in ("everything", "Exception", "BaseException"):
                yield f"line {node.lineno}: swallows {kinds}"


def mocking_faults(source: str) -> Iterator[str]:
    if "mock" + ".patch" in source or re.search(r"^from unittest import mock|^import unittest\.mock", source, re.M):
        yield "mocks"


def naming_faults(source: str) -> Iterator[str]:
    if REGISTRY.search(source):
        yield "names a package registry"
    if MACHINE_PATH.search(source):
        yield "names a path of one machine"


def function_lengths(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nested = sum(
                (inner.end_lineno or 0) - inner.lineno + 1
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            )
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1 - nested
