"""Faults that a replay provokes, chosen by the number of the order (the first is 1) and by the product code."""

from __future__ import annotations

import zlib
from enum import StrEnum

__all__ = ["Fault", "fault_of", "is_short"]


class Fault(StrEnum):
    """A fault, and the card token or address mark that makes the sandboxes produce it."""

    NONE = "nothing"
    CARD_DECLINED = "the card is declined"
    CAPTURE_DECLINED = "the money is held, but cannot be taken"
    CARD_FAILS_ONCE = "the card's first try fails"
    CARD_TIMES_OUT_ONCE = "the answer to the card's first try is lost"
    CARRIER_REFUSES = "the carrier does not take the parcel"
    CARRIER_FAILS_ONCE = "the carrier's first try fails"
    NOT_SERVED = "the country is not served"

    @property
    def token(self) -> str:
        """The token of the card."""
        return _TOKENS.get(self, "tok_approve")

    @property
    def address_mark(self) -> str:
        """The end of the first address line."""
        return _ADDRESS_MARKS.get(self, "")


_TOKENS = {
    Fault.CARD_DECLINED: "tok_decline",
    Fault.CAPTURE_DECLINED: "tok_decline_capture",
    Fault.CARD_FAILS_ONCE: "tok_fail_once",
    Fault.CARD_TIMES_OUT_ONCE: "tok_timeout_once",
}
_ADDRESS_MARKS = {Fault.CARRIER_REFUSES: " CARRIER-REFUSE", Fault.CARRIER_FAILS_ONCE: " CARRIER-FAIL-ONCE"}

_EVERY: tuple[tuple[int, int, Fault], ...] = (
    (40, 7, Fault.CARD_DECLINED),
    (60, 13, Fault.CAPTURE_DECLINED),
    (45, 11, Fault.CARD_FAILS_ONCE),
    (75, 29, Fault.CARD_TIMES_OUT_ONCE),
    (50, 17, Fault.CARRIER_REFUSES),
    (55, 23, Fault.CARRIER_FAILS_ONCE),
    (120, 41, Fault.NOT_SERVED),
)
"""One order in so many, with this remainder; the first matching entry applies."""

SHORT_ONE_IN = 400
SHORT_REMAINDER = 8


def fault_of(number: int) -> Fault:
    """The fault of the order with this number."""
    return next((fault for every, offset, fault in _EVERY if number % every == offset), Fault.NONE)


def is_short(product_id: str) -> bool:
    """Whether the stock of a product is one unit less than its smallest order needs, so that every order is refused.

    The outcome then does not depend on which of several concurrent orders comes first.
    """
    return zlib.crc32(product_id.encode()) % SHORT_ONE_IN == SHORT_REMAINDER
