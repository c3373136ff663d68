"""The stubs in typings/ agree with the installed libraries."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

import pytest

from tests.architecture.rules import ROOT

TYPINGS = ROOT / "typings"
FILES = sorted(TYPINGS.rglob("*.pyi"))


def module_of(file):
    parts = file.relative_to(TYPINGS).with_suffix("").parts
    return import_module(".".join(part for part in parts if part != "__init__"))


def public_functions(source: str):
    for kind in ast.parse(source).body:
        if isinstance(kind, ast.ClassDef) and not kind.name.startswith("_"):
            yield from (
                (kind.name, each) for each in kind.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            )


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TYPINGS)))
def test_every_parameter_in_our_stubs_exists(file):
    module = module_of(file)
    for kind, said in public_functions(file.read_text()):
        real = getattr(getattr(module, kind), said.name)
        names = {each.arg for each in (*said.args.args, *said.args.kwonlyargs)}
        assert names <= set(inspect.signature(real).parameters), f"{kind}.{said.name}"
        assert inspect.iscoroutinefunction(real) == isinstance(said, ast.AsyncFunctionDef), f"{kind}.{said.name}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(TYPINGS)))
def test_every_class_in_our_stubs_exists(file):
    names = [node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    assert not [name for name in names if not name.startswith("_") and not hasattr(module_of(file), name)]
