"""Makes the OpenAPI document of a route's answer from its return annotation. Serving never imports this module.

The pattern, for every service:
- `answers.py` declares each JSON answer as a TypedDict (from typing_extensions). The class docstring describes the
  answer, a docstring below a field describes the field, `NotRequired` marks a field that may be missing.
- A route is a module-level function that returns `Answer[Body]`, or `CommandAnswer[Body]` where the answer gains
  `position`, ETag and Idempotent-Replayed. Its docstring is the document: the first line is the summary of three to six
  words; the paragraphs after it say what happens, when the request is refused, and what the client does then.
- A route gets what it works with by `Annotated[Accounts, provided(Accounts)]`; app.py passes the object to Service.
- Headers and further statuses go into the route's `responses`, as in FastAPI.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from textwrap import dedent
from types import GenericAlias
from typing import Any, get_args, get_origin, get_type_hints

from fastapi.routing import APIRoute
from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import get_original_bases

from services.kit.rest.answers import ETAG, Answer, CommandAnswer, PositionText

__all__ = ["JSON", "describe_answer", "summary_and_description"]

REFERENCES = "#/components/schemas/{model}"
CLOSED = ConfigDict(extra="forbid", use_attribute_docstrings=True)
UNDESCRIBED = (None, "Successful Response", "OK", "Created", "Accepted")
"""The descriptions that FastAPI gives to an answer without one."""
JSON = "application/json"
COMMAND_HEADERS: Mapping[str, Any] = {
    **ETAG,
    "Idempotent-Replayed": {
        "description": "`true` if this repeats the first answer to the same Idempotency-Key.",
        "schema": {"const": "true"},
    },
}

Schema = dict[str, Any]


class _Untitled(GenerateJsonSchema):
    """JSON Schema in which fields have no titles: they would only repeat the names."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def describe_answer(route: APIRoute, operation: dict[str, Any]) -> dict[str, Schema]:
    """Add the schema of a route's answer to its operation; the schemas to which it refers, by name."""
    found = get_type_hints(route.endpoint, include_extras=True).get("return")
    annotation = next((part for part in (found, *get_args(found)) if _is_answer(part)), None)
    if annotation is None:
        return {}
    kind: Any = get_origin(annotation)
    (body,) = get_args(annotation)
    reference, named = schemas_of(body)
    headers: Mapping[str, Any] = {}
    if issubclass(kind, CommandAnswer):
        _add_position(named[body.__name__])
        headers = COMMAND_HEADERS
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            _describe(answer, body, reference, headers)
    return named


def _is_answer(annotation: object) -> bool:
    kind: object = get_origin(annotation)
    return isinstance(kind, type) and issubclass(kind, Answer)


def _describe(answer: dict[str, Any], body: type, reference: Schema, headers: Mapping[str, Any]) -> None:
    answer.setdefault("content", {}).setdefault(JSON, {})["schema"] = reference
    if headers:
        answer["headers"] = {**headers, **answer.get("headers", {})}
    if answer.get("description") in UNDESCRIBED:
        answer["description"] = inspect.cleandoc(body.__doc__ or "")


def schemas_of(body: type) -> tuple[Schema, dict[str, Schema]]:
    """The reference to a TypedDict's schema, and the schemas of it and of all that it contains, by name."""
    each: Any = GenericAlias(list, body)  # in a list, because a TypedDict by itself takes no configuration
    adapter = TypeAdapter[Any](each, config=CLOSED)
    made = adapter.json_schema(ref_template=REFERENCES, schema_generator=_Untitled)
    named: dict[str, Schema] = made.get("$defs", {})
    for name, text in inherited_docs(body).items():
        named[body.__name__]["properties"][name].setdefault("description", text)
    return made["items"], named


def inherited_docs(body: type) -> dict[str, str]:
    """The docstrings of the fields that a TypedDict inherits, which Pydantic does not look for."""
    found: dict[str, str] = {}
    for base in get_original_bases(body):
        if isinstance(base, type) and base.__module__ not in ("typing", "typing_extensions", "builtins"):
            found |= {**inherited_docs(base), **_docs(base)}
    return found


def _docs(body: type) -> dict[str, str]:
    try:
        source = inspect.getsource(body)
    except OSError:  # made by calling TypedDict, because a class cannot have a field such as `from`
        return {}
    (declaration,) = ast.parse(dedent(source)).body
    assert isinstance(declaration, ast.ClassDef)
    pairs = zip(declaration.body, declaration.body[1:], strict=False)
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
    }


def _add_position(schema: Schema) -> None:
    position = TypeAdapter[Any](PositionText).json_schema()
    schema["properties"]["position"] = position
    schema["required"] = [*schema.get("required", ()), "position"]


def summary_and_description(route: APIRoute) -> tuple[str, str]:
    """The first line of a route's docstring without its full stop, and the rest."""
    summary, _, description = inspect.cleandoc(route.endpoint.__doc__ or "").partition("\n\n")
    return summary.removesuffix("."), description
