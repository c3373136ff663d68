"""JSON Schema by hand, for the services that do not have typed answers yet (see openapi.py); it goes with the last one.

No model of Pydantic is built for it and nothing is checked when a service answers: that would cost time at every start.
tests/services/test_openapi.py holds real answers to what stands here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = [
    "COUNT", "ETAG", "INSTANT", "MONEY", "POSITION", "TEXT", "Responses", "Schema", "command_answer", "json_answer",
    "list_of", "one_of", "optional", "shape",
]  # fmt: skip

Schema = dict[str, Any]
Responses = dict[int | str, dict[str, Any]]
"""By status."""

TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
INSTANT: Schema = {"type": "string", "format": "date-time", "examples": ["2026-11-23T12:00:00Z"]}
POSITION: Schema = {
    "type": "string",
    "description": "Where it is in the log: a question with this `position` is answered knowing of it.",
    "examples": ["0001.00000000000002f1.0000000000000017"],
}
ETAG: Mapping[str, Any] = {
    "ETag": {"description": 'The version, for `If-Match`, such as `"3"`.', "required": True, "schema": TEXT}
}
_COMMAND_HEADERS: Mapping[str, Any] = {
    **ETAG,
    "Idempotent-Replayed": {
        "description": "`true` if this is the first answer to a repeated Idempotency-Key, given again.",
        "schema": {"const": "true"},
    },
}


def shape(title: str, members: Mapping[str, Schema], may_miss: Iterable[str] = ()) -> Schema:
    """An object with these members and no others, all of them there but those that `may_miss`."""
    required = [name for name in members if name not in set(may_miss)]
    return {
        "title": title,
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": dict(members),
    }


def optional(schema: Schema) -> Schema:
    """The same, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*words: str) -> Schema:
    """One of these words."""
    return {"type": "string", "enum": list(words)}


def list_of(items: Schema) -> Schema:
    """Any number of these."""
    return {"type": "array", "items": items}


MONEY = shape(
    "Money",
    {
        "amount": {
            "type": "string",
            "pattern": r"^-?[0-9]+\.[0-9]{2,}$",
            "description": "Exact: a text, at least two decimals.",
            "examples": ["12.50"],
        },
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217.", "examples": ["GBP"]},
    },
)


def json_answer(description: str, schema: Schema, headers: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An answer in JSON."""
    answer = {"description": description, "content": {"application/json": {"schema": schema}}}
    return answer if headers is None else {**answer, "headers": dict(headers)}


def command_answer(
    description: str, title: str, members: Mapping[str, Schema], may_miss: Iterable[str] = (), location: str = ""
) -> dict[str, Any]:
    """The answer to a command, with its `position` and version; `location` says what its Location names."""
    headers = dict(_COMMAND_HEADERS)
    if location:
        headers["Location"] = {"description": location, "required": True, "schema": TEXT}
    return json_answer(description, shape(title, {**members, "position": POSITION}, may_miss), headers)
