"""Strict reading of YAML documents: an unknown key is an error with its file, object and name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

__all__ = ["Node", "UnsupportedManifestError", "read_documents"]

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,9})?)S)?)?")
_SIMPLE_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")
_UNIT_SECONDS = (86_400, 3_600, 60, 1)


class UnsupportedManifestError(Exception):
    """A manifest has something that the local cluster cannot do as Knative does it."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Node:
    """A mapping in a manifest, and where it stands."""

    values: Mapping[str, object]
    where: str
    path: str = ""

    def refuse(self, problem: str) -> UnsupportedManifestError:
        """The error to raise about this place."""
        return UnsupportedManifestError(self.where, f"{self.path.lstrip('.')}: {problem}" if self.path else problem)

    def only(self, known: Iterable[str]) -> Node:
        """This node, or UnsupportedManifestError naming the keys that are not known."""
        unknown = sorted(set(self.values) - set(known))
        if unknown:
            raise self.refuse(f"not supported here: {', '.join(unknown)}")
        return self

    def has(self, name: str) -> bool:
        """Whether the key is there with a value."""
        return self.values.get(name) is not None

    def node(self, name: str) -> Node:
        """The mapping under a key, empty if absent."""
        value = self.values.get(name)
        return self._as_node({} if value is None else value, f"{self.path}.{name}")

    def nodes(self, name: str) -> Sequence[Node]:
        """The list of mappings under a key, empty if absent."""
        value = self.values.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.refuse(f"{name} must be a list")
        items = cast("list[object]", value)
        return [self._as_node(item, f"{self.path}.{name}[{index}]") for index, item in enumerate(items)]

    def text(self, name: str, default: str | None = None) -> str:
        """The string under a key."""
        value = self.values.get(name, default)
        if not isinstance(value, str):
            raise self.refuse(f"{name} must be a string" if self.has(name) else f"{name} is missing")
        return value

    def integer(self, name: str, default: int) -> int:
        """The number under a key, also where an annotation writes it as text."""
        value = self.values.get(name, default)
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.refuse(f"{name} must be a whole number, not {value!r}")
        return value

    def texts(self) -> Mapping[str, str]:
        """The whole mapping, of strings to strings."""
        return {name: self.text(name) for name in self.values}

    def duration_seconds(self, name: str, default: float) -> float:
        """The ISO 8601 duration under a key (PT0.2S), in seconds."""
        return self._seconds(name, _DURATION, _UNIT_SECONDS, "an ISO 8601 duration") if self.has(name) else default

    def simple_duration_seconds(self, name: str, default: float) -> float:
        """The duration under a key as Serving's annotations write it (1m30s), in seconds."""
        return self._seconds(name, _SIMPLE_DURATION, _UNIT_SECONDS[1:], "a duration") if self.has(name) else default

    def _seconds(self, name: str, form: re.Pattern[str], units: Sequence[int], what: str) -> float:
        match = form.fullmatch(self.text(name))
        if match is None or not any(match.groups()):
            raise self.refuse(f"{name} must be {what}, not {self.text(name)!r}")
        return sum(float(part) * unit for part, unit in zip(match.groups(), units, strict=True) if part)

    def _as_node(self, value: object, path: str) -> Node:
        if not isinstance(value, dict):
            raise UnsupportedManifestError(self.where, f"{path.lstrip('.')} must be a mapping")
        return Node(cast("dict[str, object]", value), self.where, path)


def read_documents(folder: Path) -> list[Node]:
    """Every object in the `*.yaml` files of a folder, in the order of the file names."""
    import yaml

    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # the one in C is ten times as fast
    nodes: list[Node] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            documents = cast("list[object]", list(yaml.load_all(file.read_text(encoding="utf-8"), loader)))
        except yaml.YAMLError as error:
            raise UnsupportedManifestError(file.name, f"not YAML: {error}") from error
        nodes += [_named(document, file.name) for document in documents if document is not None]
    return nodes


def _named(document: object, file: str) -> Node:
    if not isinstance(document, dict):
        raise UnsupportedManifestError(file, "not an object")
    node = Node(cast("dict[str, object]", document), file)
    return Node(node.values, f"{file}: {node.text('kind')} {node.node('metadata').text('name')}")
