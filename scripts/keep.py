"""Records the shapes of messages and the checksums of migrations, which must not change after a release.

`python -m scripts.keep` writes both to tests/architecture/data/kept.json. It refuses to change one that is committed:
old and new code run at the same time on one event store and one topic, so a message may only get optional fields
(docs/upgrading.md).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import services.contracts
from services.databases import all_migrations
from services.kit.domain.message import Message
from services.kit.privacy.encryption import Fields, personal_fields

__all__ = ["KEPT", "changes", "example_of", "kept", "models", "recorded", "shape_changes"]

KEPT = Path(__file__).parent.parent / "tests" / "architecture" / "data" / "kept.json"
WORDS = ("title", "description", "default")
"""Members of a schema that do not change the JSON of a message."""

Kept = dict[str, dict[str, Any]]


def kept() -> Kept:
    """The shape of each message by its type and the checksum of each migration by its name, as the code has them."""
    messages = {model.type: _message(model) for model in models()}
    migrations = {migration.name: migration.checksum for migration in all_migrations()}
    return {"messages": dict(sorted(messages.items())), "migrations": dict(sorted(migrations.items()))}


def models() -> Iterator[type[Message]]:
    """The classes of all messages."""
    for found in iter_modules(services.contracts.__path__):
        module = import_module(f"services.contracts.{found.name}")
        for each in vars(module).values():
            if isinstance(each, type) and issubclass(each, Message) and "type" in vars(each):
                yield each


def example_of(model: type[Message]) -> dict[str, Any]:
    """The JSON of an example with every field; equal shapes give equal examples."""
    schema = model.model_json_schema()
    content = _example(schema, schema.get("$defs", {}))
    return json.loads(model.model_validate_json(json.dumps(content)).write())


def _example(schema: Mapping[str, Any], named: Mapping[str, Any]) -> Any:
    """A value that a schema describes; it knows only the parts of JSON Schema that Pydantic writes for messages."""
    if "$ref" in schema:
        return _example(named[schema["$ref"].rpartition("/")[2]], named)
    if "anyOf" in schema:
        return _example(next(each for each in schema["anyOf"] if each.get("type") != "null"), named)
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object" if "properties" in schema:
            return {name: _example(each, named) for name, each in schema["properties"].items()}
        case "object":
            return {"name": _example(schema.get("additionalProperties") or {"type": "string"}, named)}
        case "array":
            return [_example(each, named) for each in schema.get("prefixItems", [schema.get("items", {})])]
        case "string":
            return _text(schema)
        case "integer" | "number":
            return schema.get("minimum", 0) + 2
        case kind:
            return kind == "boolean"


def _text(schema: Mapping[str, Any]) -> str:
    formats = {"date-time": "2026-11-24T12:34:56.789Z", "date": "2026-11-24", "uri": "https://example.com/"}
    if text := formats.get(schema.get("format", "")):
        return text
    words = ("example", "GB", "GBP", "ann@example.com", "a" * int(schema.get("minLength", 0)), "a" * 64)
    return next(word for word in words if re.search(schema.get("pattern", ""), word))


def with_examples(now: Kept, before: Kept) -> Kept:
    """`now` with an example of each message: the recorded one, or for a new message an example by its present shape.

    Raises KeyError if a recorded message has no recorded example, because a new one would not show its old shape.
    """
    known = {model.type: model for model in models()}
    new = {type_: example_of(known[type_]) for type_ in now["messages"] if type_ not in before["messages"]}
    return {**now, "examples": {type_: before["examples"][type_] for type_ in before["messages"]} | new}


def _message(model: type[Message]) -> dict[str, Any]:
    return {
        "key": model.key,
        "person_in": list(model.person_in),
        "personal": sorted(_paths(personal_fields(model))),
        "shape": _bare(model.model_json_schema(mode="serialization")),
    }


def _paths(fields: Fields, before: str = "") -> Iterator[str]:
    yield from (f"{before}{name}" for name in fields.own)
    for name, inner in fields.inner.items():
        yield from _paths(inner, f"{before}{name}.")


def _bare(schema: Any, named: bool = False) -> Any:
    """The schema without WORDS; `named` tells that the members are names of fields, which may equal one of WORDS."""
    if isinstance(schema, dict):
        members: dict[str, Any] = schema  # pyright: ignore[reportUnknownVariableType] - it came from JSON
        return {
            name: _bare(value, named=name in ("properties", "$defs") and not named)
            for name, value in members.items()
            if named or name not in WORDS
        }
    return [_bare(each) for each in schema] if isinstance(schema, list) else schema  # pyright: ignore[reportUnknownVariableType]


def changes(before: Kept, now: Kept) -> list[str]:
    """The changes that are not allowed, one sentence each."""
    found = [f"{name}: an applied migration changed" for name in _differing(before, now, "migrations")]
    for type_, old in before["messages"].items():
        new = now["messages"].get(type_)
        if new is None:
            found.append(f"{type_}: is gone")
            continue
        found += [f"{type_}: its {what} changed" for what in ("key", "person_in") if old[what] != new[what]]
        found += [f"{type_}: {path} is no longer personal" for path in set(old["personal"]) - set(new["personal"])]
        found += [f"{type_}: {fault}" for fault in shape_changes(old["shape"], new["shape"])]
    return found


def _differing(before: Kept, now: Kept, what: str) -> Iterator[str]:
    return (name for name, value in before[what].items() if now[what].get(name) != value)


def shape_changes(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """The changes that would break old readers or writers: all except a new optional field."""
    for name, old_definition in old.get("$defs", {}).items():
        if name in new.get(
            "$defs", {}
        ):  # if a definition is not used any more, the field that used it has another shape
            yield from shape_changes(old_definition, new["$defs"][name], f"{name}.")
    before, after = old.get("properties", {}), new.get("properties", {})
    must, now_must = set(old.get("required", ())), set(new.get("required", ()))
    for name, schema in before.items():
        if name not in after:
            yield f"{where}{name} is gone"
        elif after[name] != schema:
            yield f"{where}{name} has another shape"
        elif (name in must) != (name in now_must):
            yield f"{where}{name} is {'optional' if name in must else 'required'} now"
    yield from (f"{where}{name} is new and required" for name in sorted(now_must - set(before)))
    rest = ("$defs", "properties", "required")
    if {k: v for k, v in old.items() if k not in rest} != {k: v for k, v in new.items() if k not in rest}:
        yield f"{where or 'it '}is another kind of value"


def recorded(file: Path = KEPT) -> Kept:
    """The record of the last commit, so that a shape can change until it is committed; without git, the file's."""
    command = ("git", "-C", str(file.parent), "show", f"HEAD:./{file.name}")
    try:
        shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        shown = file.read_text()
    return json.loads(shown)


def main() -> None:
    """Record the new messages and migrations; exits with the list of changes that are not allowed."""
    now, before = kept(), recorded()
    if found := changes(before, now):
        sys.exit(
            "these are in the last commit and must not change; make a new version instead (docs/upgrading.md):\n  "
            + "\n  ".join(found)
        )
    KEPT.write_text(json.dumps(with_examples(now, before), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
