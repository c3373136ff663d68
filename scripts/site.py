"""Writes the pages of the documentation site into build/docs, from which mkdocs builds build/site (`make docs`).

The pages are those of docs/, the documents at the top of the repository, and a generated reference: one page for each
package of the kit, one for the contracts, and the REST interface from the OpenAPI document.
"""

from __future__ import annotations

import json
import posixpath
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PAGES", "TOP", "kit_packages", "pages", "write"]

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "build" / "docs"
TOP = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
METHODS = ("get", "post", "put", "patch", "delete")
FIELDS = "\n    options:\n      show_if_no_docstring: true\n"
"""Options that also show fields without a docstring, because the names of a contract's fields explain them."""
BOUNDS: Mapping[str, tuple[str, str]] = {
    "minimum": ("at least", ""),
    "exclusiveMinimum": ("above", ""),
    "maximum": ("at most", ""),
    "maxLength": ("at most", " characters"),
    "minItems": ("at least", " entries"),
    "maxItems": ("at most", " entries"),
}
"""The words for the keywords of JSON Schema that limit a value."""
LINK = re.compile(r"(!?\[([^\]]*)\]\()([^)#\s]+)([^)]*\))")

Document = Mapping[str, Any]


def pages() -> Iterator[tuple[str, str]]:
    """The path within the site and the text of every page that is made here, not copied from docs/."""
    for source, target in TOP.items():
        yield target, moved((ROOT / source).read_text(), source)
    yield "reference/contracts.md", reference("Contracts", "services.contracts", FIELDS)
    for name in kit_packages():
        yield f"reference/kit/{name}.md", reference(f"Kit: {name}", f"services.kit.{name}")
    yield "reference/rest.md", "\n".join(rest(json.loads((ROOT / "docker" / "edge" / "openapi.json").read_text())))


def write(target: Path = PAGES) -> None:
    """Empty `target`, and write all pages into it."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ROOT / "docs", target)
    for page in target.rglob("*.md"):
        page.write_text(moved(page.read_text(), f"docs/{page.relative_to(target).as_posix()}"))
    for path, text in pages():
        page = target / path
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    shutil.copy(ROOT / "docker" / "edge" / "openapi.json", target / "reference" / "openapi.json")


def moved(text: str, source: str) -> str:
    """`text` of the page at `source` in the repository, with its links changed to the paths of the site.

    A link to a file that the site does not have, such as code, becomes its text.
    """

    def one(found: re.Match[str]) -> str:
        if "://" in found[3]:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[3]))
        if path not in TOP and not path.startswith("docs/"):
            return found[2]
        return found[1] + posixpath.relpath(within(path), posixpath.dirname(within(source))) + found[4]

    return LINK.sub(one, text)


def within(path: str) -> str:
    """The path within the site of a file of the repository."""
    return TOP.get(path, path.removeprefix("docs/"))


def kit_packages() -> list[str]:
    """The packages of the kit, and its modules outside of packages."""
    kit = ROOT / "services" / "kit"
    return sorted(path.stem for path in kit.iterdir() if (path / "__init__.py").exists() or _is_module(path))


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" and not path.stem.startswith("_")


def reference(title: str, package: str, options: str = "") -> str:
    """The page of a package, made from the docstrings of its modules."""
    folder = ROOT.joinpath(*package.split("."))
    names = [package]
    if folder.is_dir():
        names = [f"{package}.{path.stem}" for path in sorted(folder.glob("*.py")) if _is_module(path)]
    return "\n\n".join([f"# {title}", *(f"::: {name}{options}" for name in names)]) + "\n"


def rest(document: Document) -> Iterator[str]:
    """The lines of the page about the REST interface."""
    yield f"# REST interface\n\n{document['info']['description']}"
    yield "The [OpenAPI document](openapi.json) is what `GET /openapi.json` answers.\n"
    for tag in document["tags"]:
        yield f"## {tag['name']}\n\n{tag['description']}\n"
        for path, operations in document["paths"].items():
            for method in METHODS:
                if tag["name"] in operations.get(method, {}).get("tags", ()):
                    yield from operation(f"{method.upper()} {path}", operations[method])
    yield "## Schemas\n"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield from component(name, schema)


def operation(title: str, described: Document) -> Iterator[str]:
    """The section of an operation: its description, parameters, body and answers."""
    yield f"### `{title}`\n\n**{described['summary']}.** {described.get('description', '')}\n"
    parameters = [
        f"| `{each['name']}` | {each['in']} | {kind(each['schema'])} | {meaning(each, each['schema'])} |"
        for each in described.get("parameters", ())
    ]
    if parameters:
        yield "\n".join(["| parameter | in | type | meaning |", "|---|---|---|---|", *parameters, ""])
    if "requestBody" in described:
        yield f"Body: {content(described['requestBody'])}\n"
    answers = [
        f"| {status} | {cell(each['description'])} | {content(each)} |"
        for status, each in described["responses"].items()
    ]
    yield "\n".join(["| status | when | content |", "|---|---|---|", *answers, ""])


def component(name: str, schema: Document) -> Iterator[str]:
    """The section of a schema: its fields, or the schemas that it is composed of."""
    yield f'### {name} {{ #schema-{name.lower()} data-toc-label="{name}" }}\n'
    if "description" in schema:
        yield f"{schema['description']}\n"
    required = schema.get("required", ())
    fields = [
        f"| `{field}`{mark} | {kind(each)} | {meaning(each, each)} |"
        for field, each in schema.get("properties", {}).items()
        for mark in ("" if field in required else " (optional)",)
    ]
    if fields:
        yield "\n".join(["| field | type | meaning |", "|---|---|---|", *fields, ""])
    else:
        yield f"{kind(schema)}\n"


def meaning(described: Document, schema: Document) -> str:
    """The description of a field or parameter, and the bounds of its schema."""
    text = cell(described.get("description", ""))
    choices = [each for each in schema.get("anyOf", (schema,)) if each != {"type": "null"}]
    bounds = [f"{word} {each[key]:,}{unit}" for each in choices for key, (word, unit) in BOUNDS.items() if key in each]
    if (default := schema.get("default")) not in (None, [], {}) and "Default:" not in text:
        bounds.append(f"default `{json.dumps(default)}`")
    told = ", ".join(bounds)
    return " ".join(each for each in (text, f"{told[0].upper()}{told[1:]}." if told else "") if each)


def content(described: Document) -> str:
    """The media types of a body, each with its schema."""
    return cell(
        ", ".join(f"`{media}` {kind(each.get('schema', {}))}" for media, each in described.get("content", {}).items())
    )


def kind(schema: Document) -> str:
    """The type of a schema in a few words, with links to the schemas that have a name."""
    match schema:
        case {"$ref": str(reference_)}:
            name = reference_.rsplit("/", 1)[-1]
            return f"[{name}](#schema-{name.lower()})"
        case {"anyOf": choices} | {"oneOf": choices} | {"allOf": choices}:
            return " or ".join(dict.fromkeys(kind(each) for each in choices))
        case {"type": "array"}:
            return f"list of {kind(schema.get('items', {}))}"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case _:
            return str(schema.get("format") or schema.get("type") or "any")


def cell(text: str) -> str:
    """`text` in a form that fits into a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGES)
