"""The variables of the environment from which the fields of settings get their values.

A dataclass of settings declares with each field the variable, the default and how the text is read:
`retention_days: int = setting("ZEROCART_RETENTION_DAYS", 30, days)`. No pydantic-settings: importing it takes 120 ms of
CPU on every cold start, where importing a whole service takes 220 ms (2026-11-29, version 2.16.3, same machine).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import TypeVar

from services.kit.config.secrets import Secret, Secrets, plain
from services.kit.domain.errors import ZerocartError

__all__ = ["read_settings", "seconds", "secret", "setting", "several", "texts", "whole_numbers"]

VARIABLE, SECRET = "variable", "secret"
"""The metadata of a field that the environment sets."""
T = TypeVar("T")
S = TypeVar("S")


def setting(variable: str, default: T, read: Callable[[str, str], T] | None = None) -> T:
    """A field whose value this variable has, as `read` makes it from the name and the text; the text without `read`.

    A variable that is empty counts as not set.
    """
    return field(default_factory=lambda: default, metadata={VARIABLE: (variable, read)})


def secret(variable: str) -> Secret:
    """A field whose value is the secret of this name."""
    return field(default=plain(""), repr=False, metadata={SECRET: variable})


def read_settings(kind: Callable[..., S], environ: Mapping[str, str], **given: object) -> S:
    """An instance of this dataclass with the values that the environment sets, and with those in `given`.

    ZerocartError names the variable that is wrong.
    """
    secrets = Secrets(environ)
    found: dict[str, object] = {}
    for each in fields(kind):  # pyright: ignore[reportArgumentType] - a dataclass
        variable, read = each.metadata.get(VARIABLE, ("", None))
        if SECRET in each.metadata:
            found[each.name] = secrets.reading(each.metadata[SECRET])
        elif text := environ.get(variable):
            found[each.name] = read(variable, text) if read else text
    return kind(**found, **given)


def seconds(name: str, text: str) -> float:
    """The seconds in a text; ZerocartError if it is no number above 0."""
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ZerocartError("bad-setting", f"{name} must be a number of seconds above 0, and is {text!r}")
    return found


def several(_: str, text: str) -> tuple[str, ...]:
    """The parts of a text between commas, without empty ones."""
    return tuple(filter(None, text.split(",")))


def texts(name: str, text: str) -> Mapping[str, str]:
    """The values of a JSON object by name, as texts; ZerocartError if `text` is no JSON object."""
    return {key: str(value) for key, value in _object(name, text).items()}


def whole_numbers(variable: str, text: str) -> Mapping[str, int]:
    """The values of a JSON object by name; ZerocartError if one is not a whole number."""
    found = _object(variable, text)
    wrong = [name for name, value in found.items() if not isinstance(value, int)]
    if wrong:
        raise ZerocartError("bad-setting", f"{variable}: {wrong[0]} is not a whole number")
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _object(variable: str, text: str) -> Mapping[str, object]:
    if not text:
        return {}
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise ZerocartError("bad-setting", f"{variable} is not JSON") from error
    if not isinstance(found, dict):
        raise ZerocartError("bad-setting", f"{variable} is not a JSON object")
    return {str(name): value for name, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
