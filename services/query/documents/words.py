"""The words of invoices and packing slips in the languages of the shop, and how these write amounts and days."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from decimal import Decimal
from functools import cache
from pathlib import Path

from services.kit.domain.currencies import shown_amount

__all__ = ["TEMPLATES", "Words", "words_in"]

TEMPLATES = Path(__file__).parents[1] / "templates"
ENGLISH = "en"


class Words:
    """The words of one language."""

    def __init__(self, language: str, by_key: Mapping[str, str]) -> None:
        self.language = language
        self.by_key = by_key

    def __getitem__(self, key: str) -> str:
        return self.by_key[key]

    def amount(self, amount: Decimal, currency: str) -> str:
        """An amount with the decimals of its currency, without the currency."""
        return self.number(shown_amount(amount, currency))

    def number(self, text: str) -> str:
        """A number with the decimal separator of the language."""
        return text.replace(".", self["decimal"])

    def day(self, at: datetime, zone: tzinfo) -> str:
        """The day of an instant in a zone."""
        return at.astimezone(zone).strftime(self["day"])


@cache
def words_in(language: str) -> Words:
    """The words of this language, or the English ones if there are none."""
    known = language if (TEMPLATES / f"words.{language}.json").is_file() else ENGLISH
    return Words(known, json.loads((TEMPLATES / f"words.{known}.json").read_text(encoding="utf-8")))
