"""The rules for the code as functions: each takes the text of a file and yields its faults."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from services.folders import SERVICES as SERVICE_NAMES

ROOT = Path(__file__).parent.parent.parent
SERVICES = ROOT / "services"
TOOLS = ROOT / "tools"
FUNCTION_LINES_MAX = 80
FUNCTION_LINES_USUAL = 40
FUNCTION_LINES_MEDIAN = 10
FILE_LINES_MAX = 450
FORBIDDEN_IN_DOMAIN = {
    "asyncio", "time", "uuid", "random", "secrets", "os", "logging", "socket", "sqlalchemy", "asyncpg", "aiokafka",
    "fastapi", "starlette", "httpx",
}  # fmt: skip
TIMES = {"date", "datetime", "timedelta"}  # as types of what a command brings
CLOCK_CALLS = {"now", "utcnow", "today"}
# without __future__: pydantic would compile the text of each annotation again for every message that inherits it
SAID_IN_CONTRACTS = {"collections", "dataclasses", "datetime", "decimal", "enum", "pydantic", "typing"}
KIT_IN_CONTRACTS = ("services.contracts", "services.kit.domain.message", "services.kit.saga.messages")
# in pieces, so that this file does not break its own rules
REGISTRIES = "py" + "pi|pythonh" + "osted|npm" + r"js|mav" + r"en|gol" + r"ang\.org|crat" + r"es\.io"
REGISTRY = re.compile(rf"https?://[a-z0-9.-]*({REGISTRIES})")
MACHINE_FOLDERS = "wo" + "rk|fa" + "rm|ro" + "ot|ho" + "me|Us" + "ers"
MACHINE_PATH = re.compile(rf"(^|[^A-Za-z0-9_.])/({MACHINE_FOLDERS})/")
UNFINISHED_WORDS = r"NotImpl" + r"ementedError|\bTO" + r"DO\b|\bFIX" + r"ME\b|pragma: no " + "cover"
NOT_RUN = r"\bmark\.(sk" + r"ip|xf" + r"ail)|\b(sk" + r"ip|skip" + r"if|xf" + r"ail)\("
UNFINISHED = re.compile(f"{UNFINISHED_WORDS}|{NOT_RUN}")
ARRAY_PARAMETER = re.compile(r"\$\d+::(?!text\b)\w[\w ]*\[\]")
COMMON_WORDS = {"query", "operations"}
"""Services whose names are words of the field, too."""
OF_A_SERVICE = re.compile(
    rf"\b({'|'.join(sorted(set(SERVICE_NAMES) - COMMON_WORDS))})\b|services\.({'|'.join(SERVICE_NAMES)})\b|(?i:stripe|smtp|sandbox|pingsource)"
)
TEXT = {".py", ".pyi", ".toml", ".yaml", ".yml", ".txt", ".sh", ".md", ".sql", ".cfg", ".html", ".json", ""}
NOT_OURS = {".venv", "build", ".git", ".zerocart", ".hypothesis", "data"}


def python_files(*folders: Path) -> list[Path]:
    return sorted(file for folder in folders for file in folder.rglob("*.py") if "__pycache__" not in file.parts)


def text_files() -> Iterator[Path]:
    for folder, inner, names in os.walk(ROOT):
        inner[:] = [name for name in inner if name not in NOT_OURS and not name.endswith(("cache", "cache__"))]
        ours = sorted(name for name in names if name not in NOT_OURS)  # in a worktree .git is a file
        yield from (Path(folder, name) for name in ours if Path(name).suffix in TEXT)


def imported(tree: ast.AST) -> Iterator[str]:
    """The full names of the imported modules and objects; `from a import b` gives `a.b`."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                yield from (f"{'.' * level}{module or ''}.{name.name}" for name in names)
            case _:
                pass


def domain_faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for name in imported(tree):
        package, _, rest = name.partition(".")
        if package in FORBIDDEN_IN_DOMAIN or (package == "datetime" and rest not in TIMES):
            yield f"imports {name}"
    for node in ast.walk(tree):
        match node:
            case ast.AsyncFunctionDef() | ast.Await():
                yield "is asynchronous"
            case ast.Call(func=ast.Attribute(attr=str(name))) if name in CLOCK_CALLS:
                yield f"asks the clock ({name})"
            case ast.Call(func=ast.Name(id="open" | "print" | "input" as name)):
                yield f"reaches outside ({name})"
            case ast.Raise():
                yield "raises: a domain answers"
            case _:
                pass


def contract_faults(source: str) -> Iterator[str]:
    tree = ast.parse(source)
    for name in imported(tree):
        if name.split(".")[0] not in SAID_IN_CONTRACTS and not name.startswith(KIT_IN_CONTRACTS):
            yield f"imports {name}"
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=str(name)) | ast.AsyncFunctionDef(name=str(name)):
                yield f"has a function, {name}"
            case ast.Lambda():
                yield f"line {node.lineno}: has a function"
            case _:
                pass


def kit_faults(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and (found := OF_A_SERVICE.search(node.value))
        ):
            yield f"line {node.lineno}: names {found[0]}"


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
        if isinstance(node, ast.ExceptHandler) and all(_says_nothing(part) for part in node.body):
            kinds = ast.unparse(node.type) if node.type else "everything"
            if kinds in ("everything", "Exception", "BaseException"):
                yield f"line {node.lineno}: swallows {kinds}"


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass | ast.Continue) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def array_faults(source: str) -> Iterator[str]:
    """asyncpg reads the catalog, 12 ms, when a connection first passes an array that is no `text[]`: pass texts."""
    yield from (f"passes {found.group()}" for found in ARRAY_PARAMETER.finditer(source))


def mocking_faults(source: str) -> Iterator[str]:
    if "mock" + ".patch" in source or any(name.startswith("unittest.mock") for name in imported(ast.parse(source))):
        yield "mocks"


def unfinished_faults(source: str) -> Iterator[str]:
    yield from (f"says {found.group()}" for found in UNFINISHED.finditer(source))


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
