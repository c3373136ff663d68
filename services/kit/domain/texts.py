"""What people type into one line: shown in mails, lists and logs, it must not look like something else."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import StringConstraints

__all__ = ["ONE_LINE", "Line", "is_one_line"]

ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
"""No control characters, no other line breaks, nothing that turns the direction of what follows (UAX 9)."""
_ONE_LINE = re.compile(ONE_LINE.replace("$", r"\Z"))

Line = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True, pattern=ONE_LINE)]


def is_one_line(text: str) -> bool:
    """Whether a text keeps to one line, and to its direction."""
    return _ONE_LINE.match(text) is not None
