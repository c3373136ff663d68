"""The fonts of documents, and texts as these fonts can show them.

The fonts of the package `weblate-fonts` (Kurinto, Open Font License) cover the scripts of Europe, of the Near East, of
South and South East Asia except Khmer, Burmese and Tibetan, and Chinese, Japanese and Korean. A character that no font
has is shown by its number, such as `[U+1F600]`, so that nobody takes a box for a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from services.kit.domain.errors import NotInstalled

__all__ = ["PACKAGES", "families_for", "folder", "require_packages", "visible"]

FAMILY = "Kurinto Sans"
HAN = ("SC", "TC", "JP", "KR")
HAN_OF_COUNTRY = {"JP": "JP", "KR": "KR", "TW": "TC", "HK": "TC", "MO": "TC"}
"""Han characters look different in these countries; elsewhere as in mainland China."""
PLAIN_BELOW = 0x250
"""All fonts have the letters of Western and Central Europe, so that most orders need no look into a font."""
WORD_CHARS_MAX = 24
BREAK = "\u200b"
"""A place where a line may break (zero width space)."""


PACKAGES = ("typst", "uharfbuzz", "weblate_fonts")
"""The packages of the extra `documents`."""


def require_packages() -> None:
    """Raise NotInstalled unless the packages that make documents are installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise NotInstalled(
            "documents-not-installed",
            f"This installation cannot make documents: it has no package {', '.join(missing)}. Install the extra "
            "`documents` of zerocart (in the folder of its source: `make setup`), and start query anew.",
        )


@cache
def folder() -> Path:
    """The folder of the font files."""
    package = find_spec("weblate_fonts")  # found and not imported: importing it would need Django
    assert package is not None, "require_packages was called before"
    assert package.origin is not None, "it is a package of files"
    return Path(package.origin).parent / "static" / "weblate_fonts" / "kurinto" / "ttf"


def families_for(country: str) -> Sequence[str]:
    """The families in which each character is looked for, in this order, of a text from this country."""
    first = HAN_OF_COUNTRY.get(country, HAN[0])
    return (FAMILY, f"{FAMILY} {first}", *(f"{FAMILY} {each}" for each in HAN if each != first))


def visible(text: str) -> str:
    """The text with the number of each character that no font has, and with breaks in words too long for a column."""
    known = text if all(ord(each) < PLAIN_BELOW for each in text) else "".join(map(_shown, text))
    return re.sub(rf"(\S{{{WORD_CHARS_MAX}}})(?=\S)", rf"\1{BREAK}", known)


def _shown(character: str) -> str:
    code = ord(character)
    if code < PLAIN_BELOW or code in _characters():
        return character
    if unicodedata.category(character) in ("Cf", "Zs"):  # spaces, and marks that shape what is beside them
        return character
    return f"[U+{code:04X}]"


@cache
def _characters() -> frozenset[int]:
    """Every character that a font has."""
    from uharfbuzz import Blob, Face

    faces = [Face(Blob.from_file_path(file)) for file in folder().glob("*-Rg.ttf")]
    return frozenset(code for face in faces for code in face.unicodes)
