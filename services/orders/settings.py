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
from services.kit.config.variables import read_settings, setting
from services.kit.domain.currencies import MINOR_DIGITS
from services.kit.domain.errors import ZerocartError
from services.orders.shop_rules import NO_RULES, ShopRules

__all__ = ["OrdersSettings"]

PREFIX = "[A-Za-z-]{0,10}"
"""No digits, so that a number with another prefix stays another number."""
POLICIES: tuple[CapturePolicy, ...] = get_args(CapturePolicy)


def _currency(name: str, text: str) -> str:
    if text not in MINOR_DIGITS:
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use an ISO 4217 code such as GBP")
    return text


def _prefix(name: str, text: str) -> str:
    if not re.fullmatch(PREFIX, text):
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use up to 10 letters and hyphens")
    return text


def _capture(name: str, text: str) -> CapturePolicy:
    for policy in POLICIES:
        if policy == text:
            return policy
    raise ZerocartError("bad-setting", f"{name} is {text!r}: use one of {', '.join(POLICIES)}")


def _yes(name: str, text: str) -> bool:
    if text not in ("yes", "no"):
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use yes or no")
    return text == "yes"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersSettings:
    """The decisions of the shop about its orders.

    `currency` is that of an order that names none. `number_prefix` stands before the numbers of orders.
    `rules` are its taxes, shipping costs, coupons and rules of review. `capture` says when the money of an order is
    taken that does not say so itself. `mails_when_placed` says whether a customer gets a mail as soon as an order is
    placed, before the one that confirms it.
    """

    currency: str = setting("ZEROCART_CURRENCY", "GBP", _currency)
    number_prefix: str = setting("ZEROCART_ORDER_NUMBER_PREFIX", "", _prefix)
    rules: ShopRules = NO_RULES
    capture: CapturePolicy = setting("ZEROCART_CAPTURE", "when_reserved", _capture)
    mails_when_placed: bool = setting("ZEROCART_MAIL_WHEN_PLACED", False, _yes)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> OrdersSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        return read_settings(cls, environ, rules=_rules(Secrets(environ).find("ZEROCART_SHOP_RULES")))


def _rules(text: str) -> ShopRules:
    if not text:
        return NO_RULES
    try:
        return ShopRules.model_validate_json(text)
    except ValidationError as error:
        place = ".".join(map(str, error.errors()[0]["loc"])) or "the text"
        detail = f"ZEROCART_SHOP_RULES: {place}: {error.errors()[0]['msg']}"
        raise ZerocartError("bad-setting", detail) from error
