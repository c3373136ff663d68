"""Numbers on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["whole_number"]


def whole_number(most: int = 1_000_000_000) -> Callable[[str], int]:
    """A type of argparse: a whole number from 1 to `most`; ArgumentTypeError otherwise."""

    def parse(text: str) -> int:
        if not text.isdecimal() or len(text) > len(str(most)) or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return int(text)

    return parse
