"""One-line texts that people enter. Mails, lists and logs show them, so they must not be able to imitate other text."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

__all__ = ["ONE_LINE", "Line", "is_one_line"]

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""No control characters, no line breaks, no characters that change the direction of text (UAX 9)."""
_ONE_LINE = re.compile(ONE_LINE.replace("$", r"\Z"))

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=ONE_LINE)]


def is_one_line(text: str) -> bool:
    """Whether a text has no line break and no character that changes its direction."""
    return _ONE_LINE.match(text) is not None
