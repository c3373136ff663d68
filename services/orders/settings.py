"""The settings that only orders has: currency, numbers, capture, taxes, shipping costs, coupons, review and mails."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from pydantic import ValidationError

from services.contracts.orders import CapturePolicy
from services.kit.config.secrets import Secrets
from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.errors import ZerocartError
from services.orders.shop_rules import NO_RULES, ShopRules

__all__ = ["OrdersSettings"]

PREFIX = "[A-Za-z-]{0,10}"
"""No digits, so that a number with another prefix stays another number."""
POLICIES: tuple[CapturePolicy, ...] = get_args(CapturePolicy)


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSettings:
    """The decisions of the shop about its orders.

    `currency` is that of an order that names none. `number_prefix` stands before the numbers of orders.
    `rules` are its taxes, shipping costs, coupons and rules of review. `capture` says when the money of an order is
    taken that does not say so itself. `mails_when_placed` says whether a customer gets a mail as soon as an order is
    placed, before the one that confirms it.
    """

    currency: str = "GBP"
    number_prefix: str = ""
    rules: ShopRules = NO_RULES
    capture: CapturePolicy = "when_reserved"
    mails_when_placed: bool = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OrdersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        currency = environ.get("ZEROCART_CURRENCY", "") or "GBP"
        if currency not in MINOR_DIGITS:
            raise ZerocartError("bad-setting", f"ZEROCART_CURRENCY is {currency!r}: use an ISO 4217 code such as GBP")
        prefix = environ.get("ZEROCART_ORDER_NUMBER_PREFIX", "")
        if not re.fullmatch(PREFIX, prefix):
            detail = f"ZEROCART_ORDER_NUMBER_PREFIX is {prefix!r}: use up to 10 letters and hyphens"
            raise ZerocartError("bad-setting", detail)
        rules = _rules(Secrets(environ).reading("ZEROCART_SHOP_RULES")())
        mails = environ.get("ZEROCART_MAIL_WHEN_PLACED", "") or "no"
        if mails not in ("yes", "no"):
            raise ZerocartError("bad-setting", f"ZEROCART_MAIL_WHEN_PLACED is {mails!r}: use yes or no")
        return cls(
            currency=currency,
            number_prefix=prefix,
            rules=rules,
            capture=_capture(environ),
            mails_when_placed=mails == "yes",
        )


def _capture(environ: Mapping[str, str]) -> CapturePolicy:
    given = environ.get("ZEROCART_CAPTURE", "") or "when_reserved"
    for policy in POLICIES:
        if policy == given:
            return policy
    raise ZerocartError("bad-setting", f"ZEROCART_CAPTURE is {given!r}: use one of {', '.join(POLICIES)}")


def _rules(text: str) -> ShopRules:
    if not text:
        return NO_RULES
    try:
        return ShopRules.model_validate_json(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the text"
        detail = f"ZEROCART_SHOP_RULES: {place}: {error.errors()[0]['msg']}"
        raise ZerocartError("bad-setting", detail) from error
