"""Filters of Triggers, compiled once into functions of an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tools.knative_local.delivery.events import Event, in_utc
from tools.knative_local.manifests import Filter

__all__ = ["AbsentAttributeError", "Predicate", "compile_filters"]

Predicate = Callable[[Event], bool]


class AbsentAttributeError(Exception):
    """A prefix or suffix filter met an event without that attribute: the real broker loses the event there."""


def compile_filters(filters: Sequence[Filter]) -> Predicate:
    """A function that says whether an event passes all the filters; AbsentAttributeError where the real one throws."""
    return _all([_predicate(one) for one in filters])


def _predicate(one: Filter) -> Predicate:
    parts = [_predicate(part) for part in one.parts]
    match one.dialect:
        case "exact":
            return _exact(one.attributes)
        case "prefix":
            return _affix(one.attributes, str.startswith)
        case "suffix":
            return _affix(one.attributes, str.endswith)
        case "all":
            return _all(parts)
        case "any":
            return _one_of_types(one.parts) or (lambda event: any(part(event) for part in parts))
        case "not":
            (inner,) = parts
            return lambda event: not inner(event)
        case unknown:
            raise ValueError(f"unknown filter {unknown}")


def _one_of_types(parts: Sequence[Filter]) -> Predicate | None:
    # our own Triggers filter like this, and every Trigger filters every event
    types = {part.attributes.get("type", "") for part in parts}
    if "" in types or any(part.dialect != "exact" or len(part.attributes) != 1 for part in parts):
        return None
    return lambda event: event.attributes.get("type") in types


def _all(parts: Sequence[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda event: all(part(event) for part in parts)


def _exact(wanted: Mapping[str, str]) -> Predicate:
    pairs = [(name, value) for name, value in wanted.items() if value]  # an empty value means any, absent too
    if len(pairs) == 1:
        ((name, value),) = pairs
        return lambda event: _value(event, name) == value
    return lambda event: all(_value(event, name) == value for name, value in pairs)


def _affix(wanted: Mapping[str, str], compare: Callable[[str, str], bool]) -> Predicate:
    pairs = [(name, value) for name, value in wanted.items() if value]

    def matches(event: Event) -> bool:
        return all(compare(_text(event, name), value) for name, value in pairs)

    return matches


def _text(event: Event, name: str) -> str:
    value = _value(event, name)
    if value is None and name in ("subject", "datacontenttype"):
        raise AbsentAttributeError(f"a prefix or suffix filter on {name}, which is absent")
    return value or ""


def _value(event: Event, name: str) -> str | None:
    if name == "datacontenttype":
        return event.content_type
    value = event.attributes.get(name)
    return in_utc(value) if name == "time" and value else value
