"""Amounts of money in requests: exact decimals as text."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

__all__ = ["Exact"]

AMOUNT = r"^[0-9]{1,15}(\.[0-9]{1,6})?$"


def _exact(given: object) -> object:
    """The text of an amount; Pydantic alone would accept JSON numbers, which lose digits, and non-ASCII digits."""
    if not isinstance(given, str) or not re.fullmatch(AMOUNT, given):
        raise ValueError('an amount is a text such as "12.50"')
    return given


Exact = BeforeValidator(_exact, json_schema_input_type=Annotated[str, Field(pattern=AMOUNT)])
"""Annotates a Decimal that a request writes as text."""
