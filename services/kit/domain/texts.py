"""Texts that people enter: they are shown in mails, lists and logs and must not pretend to be other text.

No text of a request contains a control character, or a character that changes the direction of text (UAX 9):
`services.kit.rest.routes` refuses it by `odd_texts`. A line feed is allowed there, and refused by the type of a field
that is one line.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, cast

from pydantic import StringConstraints

__all__ = ["ONE_LINE", "Line", "folded", "is_one_line", "odd_texts"]

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""No control characters, no line breaks, no characters that change the direction of text (UAX 9)."""
_ONE_LINE = re.compile(ONE_LINE.replace("$", r"\Z"))
_ODD = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=ONE_LINE)]


def is_one_line(text: str) -> bool:
    """Whether a text has no control character, no line break and no character that changes its direction."""
    return _ONE_LINE.match(text) is not None


def folded(text: str) -> str:
    """The text for comparisons: capital letters and the encoding of a character do not matter.

    Programs write the same letter as one character or as a letter and an accent (Unicode normalization forms).
    """
    return unicodedata.normalize("NFKC", text).casefold()


def odd_texts(value: object, place: str = "") -> Iterator[str]:
    """The places of the texts in parsed JSON that have such a character, such as `items.0.product_name`."""
    match value:
        case str():
            if _ODD.search(value):
                yield place
        case dict() | list():
            inside = cast("dict[object, object] | list[object]", value)
            for name, inner in inside.items() if isinstance(inside, dict) else enumerate(inside):
                yield from odd_texts(inner, f"{place}.{name}" if place else str(name))
        case _:
            pass
