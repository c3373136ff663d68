"""Says in plain words what Pydantic found wrong in a request, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.kit.domain.amounts import AMOUNT
from services.kit.domain.errors import FieldError, Invalid
from services.kit.domain.texts import ONE_LINE

__all__ = ["FORMS", "not_valid", "nothing_to_change"]

FORMS: Mapping[str, str] = {
    "^[A-Z]{2}$": "two capital letters, such as GB (ISO 3166-1 alpha-2)",
    "^[A-Z]{3}$": "three capital letters, such as GBP (ISO 4217)",
    AMOUNT: "an amount as text, such as 12.50",
    ONE_LINE: "one line, without control characters",
    r"^[!-~]+$": "visible ASCII characters, without spaces",
    r"^[ -~]+$": "ASCII characters",
}
"""In words, the patterns that a client meets most."""
BEGINNINGS = (
    ("Value error, ", ""), ("Input should ", "It must "), ("String should ", "The text must "),
    ("List should ", "The list must "), ("Tuple should ", "The list must "),
)  # fmt: skip


def nothing_to_change() -> Invalid:
    """The error for a change that names no field."""
    return Invalid("nothing-to-change", "Name at least one field to change.", (FieldError("body", "empty", "empty"),))


def not_valid(found: Sequence[Mapping[str, Any]], model: object = None) -> Invalid:
    """The error for what Pydantic found in a request whose body has this type."""
    fields = tuple(_field_error(part, model) for part in found if not _follows(part, found))
    return Invalid("invalid", "Some fields are not valid: `errors` names them.", fields)


def _follows(part: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> bool:
    """Whether Pydantic finds a list too short only because it does not count the items that are wrong themselves."""
    place = tuple(part["loc"])
    return part["type"] == "too_short" and any(
        len(each["loc"]) > len(place) and tuple(each["loc"][: len(place)]) == place for each in found
    )


def _field_error(part: Mapping[str, Any], model: object) -> FieldError:
    steps = [step for step in part["loc"] if step != "body"]
    return FieldError(".".join(map(str, steps)) or "body", str(part["type"]), _words(part, steps, model))


def _words(part: Mapping[str, Any], steps: Sequence[str | int], model: object) -> str:
    """The sentence for the client: it names the fault and the values that are allowed."""
    match part["type"], part.get("ctx", {}):
        case "missing", _:
            return "This field is required." if steps else "Send a body."
        case "extra_forbidden", _:
            names = ", ".join(_names(_inside(model, steps[:-1])))
            return f"There is no such field. The fields are: {names}." if names else "There is no such field."
        case "string_pattern_mismatch", {"pattern": str(pattern)}:
            if pattern in FORMS:
                return f"Send {FORMS[pattern]}."
            example = _example(model, steps)
            return f"Send a text like {example}, which matches {pattern}." if example else f"It must match {pattern}."
        case "tuple_type", _:  # a tuple is how Python reads a list of JSON
            return "It must be a list."
        case "literal_error" | "enum", {"expected": expected}:
            return f"Send {expected}."
        case _:
            return _begun_anew(str(part["msg"]))


def _begun_anew(text: str) -> str:
    for before, after in BEGINNINGS:
        if text.startswith(before):
            return after + text.removeprefix(before)
    return text


def _models(kind: object) -> Iterator[type[BaseModel]]:
    """The models in a type: itself, or those in its union, its list and so on."""
    if isinstance(kind, APIRoute):
        yield from _models(kind.body_field.field_info.annotation if kind.body_field else None)
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    else:
        for part in get_args(kind):
            yield from _models(part)


def _inside(kind: object, steps: Sequence[str | int]) -> object:
    """The type at this place in a body of a type; None if it has several or none."""
    for step in steps:
        if isinstance(step, str):
            field = _field(kind, step)
            kind = field.annotation if field else None
    return kind


def _field(kind: object, name: str) -> FieldInfo | None:
    for model in _models(kind):
        for known, field in model.model_fields.items():
            if name in (known, field.alias):
                return field
    return None


def _names(kind: object) -> list[str]:
    """The fields of the one model in a type."""
    models = list(_models(kind))
    if len(models) != 1:
        return []
    return [field.alias or name for name, field in models[0].model_fields.items()]


def _example(model: object, steps: Sequence[str | int]) -> str:
    """The example of the field or the parameter; empty if it has none."""
    names = [step for step in steps if isinstance(step, str)]
    field = _field(_inside(model, names[:-1]), names[-1]) if names else None
    if field is None and isinstance(model, APIRoute) and names:
        dependant = model.dependant
        parameters = [*dependant.query_params, *dependant.path_params, *dependant.header_params]
        field = next((each.field_info for each in parameters if each.alias == names[-1]), None)  # pyright: ignore
    examples = (field.examples if field else None) or [""]
    return str(examples[0]) if isinstance(examples[0], str) else ""
