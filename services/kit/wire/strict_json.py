"""A strict JSON parser for requests: RFC 8259 and I-JSON (RFC 7493), unambiguous and bounded."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

from services.kit.domain.errors import Unreadable

__all__ = ["DEPTH_MAX", "UTF_8", "is_storable", "may_have_odd_texts", "read_json"]

DEPTH_MAX = 32
UTF_8 = ("", "charset=utf-8", 'charset="utf-8"')
"""The parameters, in lower case, that the media type of a body may have."""
NAMES_MAX = 40_000
"""Members of all objects together, because each may become an error in the answer; 2,000 order lines have 14,000."""
NUMBER_CHARS_MAX = 64
_SURROGATE = re.compile(rb"\\u[dD][89abAB]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPED_OR_ODD = re.compile(rb"\\[bfrtu]|\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""A body whose texts have a control character contains one of these. JSON allows no unescaped one below U+0020."""


def read_json(body: bytes) -> object:
    """The value of a JSON body.

    Unreadable if it is not JSON, is ambiguous, or cannot be stored: another encoding than UTF-8, a byte order mark, NaN
    or Infinity, a number out of range, a name that occurs twice in an object, half a surrogate pair, more than
    `DEPTH_MAX` levels, more than `NAMES_MAX` names.
    """
    if body.count(b":") > NAMES_MAX:
        raise _bad(f"it has more than {NAMES_MAX} names")
    try:
        value: object = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_members,
            parse_constant=_constant,
            parse_float=_real,
            parse_int=_whole,
        )
    except UnicodeDecodeError as error:
        raise _bad("it is not UTF-8") from error
    except RecursionError as error:
        raise _bad(f"it is nested deeper than {DEPTH_MAX}") from error
    except ValueError as error:
        raise _bad(str(error)) from error
    if body.count(b"[") + body.count(b"{") > DEPTH_MAX and _is_deep(value):
        raise _bad(f"it is nested deeper than {DEPTH_MAX}")
    if _SURROGATE.search(body):
        _refuse_half_characters(value)
    return value


def may_have_odd_texts(body: bytes) -> bool:
    """False if no text of a JSON body has a control character or one that changes the direction of text."""
    return _ESCAPED_OR_ODD.search(body) is not None


def is_storable(body: bytes) -> bool:
    """Whether Postgres can store the texts of a JSON body: it refuses NUL and half a surrogate pair."""
    if _NUL.search(body):
        return False
    try:
        if _SURROGATE.search(body):
            _refuse_half_characters(json.loads(body))
    except (ValueError, RecursionError, Unreadable):
        return False
    return True


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # in one pass: to count each name on its own took minutes for one body
        twice = next(name for name, times in Counter(name for name, _ in pairs).items() if times > 1)
        raise ValueError(f"the name {twice[:100]!r} occurs twice in an object")
    return members


def _constant(text: str) -> object:
    raise ValueError(f"{text} is not JSON")


def _real(text: str) -> float:
    number = float(_bounded(text))
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _whole(text: str) -> int:
    return int(_bounded(text))


def _bounded(text: str) -> str:
    if len(text) > NUMBER_CHARS_MAX:
        raise ValueError(f"a number has more than {NUMBER_CHARS_MAX} characters")
    return text


def _is_deep(value: object) -> bool:
    level: list[object] = [value]
    for _ in range(DEPTH_MAX + 1):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterator[object]:
    match value:
        case dict():
            yield from cast("dict[str, object]", value).values()
        case list():
            yield from cast("list[object]", value)
        case _:
            return


def _refuse_half_characters(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise _bad("it contains half a surrogate pair") from error


def _bad(why: str) -> Unreadable:
    return Unreadable("bad-json", f"The body is not valid JSON: {why}.")
