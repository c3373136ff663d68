"""Texts and country codes made of the columns of a row."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Table

from services.kit.domain.countries import COUNTRIES
from tools.importer.mapping import PLACEHOLDER, Templates, placeholders

__all__ = ["TEXT_CHARS_MAX", "country_code", "filled", "plain"]

TEXT_CHARS_MAX = 200


def filled(templates: Templates, known: Table[str, str], usable: Callable[[str], bool] = bool) -> str:
    """The first template whose placeholders are all filled and whose text is usable; empty without one."""
    for template in templates:
        if all(known.get(name, "").strip() for name in placeholders(template)):
            text = plain(PLACEHOLDER.sub(lambda found: known[found[1]].strip(), template))
            if usable(text):
                return text
    return ""


def plain(text: str) -> str:
    """The text on one line, with single blanks, at most TEXT_CHARS_MAX long."""
    return " ".join(text.split())[:TEXT_CHARS_MAX].rstrip()


def country_code(word: str, codes: Table[str, str], default: str | None) -> str:
    """The country of a word; without a word the default. Empty if there is none."""
    code = codes.get(word) or (word if word in COUNTRIES else "")
    return code or ("" if word else default or "")
