"""Amounts of money in requests: exact decimals as text."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

__all__ = ["Exact", "SignedExact"]

AMOUNT = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"
SIGNED_AMOUNT = r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$"


def _exact(pattern: str) -> BeforeValidator:
    """A validator of the text of an amount; Pydantic alone would accept JSON numbers, which lose digits."""

    def check(given: object) -> object:
        if not isinstance(given, str) or not re.fullmatch(pattern, given):
            raise ValueError('an amount is a text such as "12.50"')
        return given

    return BeforeValidator(check, json_schema_input_type=Annotated[str, Field(pattern=pattern)])


Exact = _exact(AMOUNT)
"""Annotates a Decimal that a request writes as text."""
SignedExact = _exact(SIGNED_AMOUNT)
"""The same of an amount that may be below zero."""
