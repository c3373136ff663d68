"""The currencies of ISO 4217 with the decimals of their minor units.

Amounts are never charged in metals, funds and codes for tests, for which ISO 4217 names no minor unit, so they are
absent. Currencies that were withdrawn since 1999 are present, because data of past years is imported.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated

from pydantic import AfterValidator

from services.kit.domain.message import Currency

__all__ = ["MINOR_DIGITS", "KnownCurrency", "rounded", "shown_amount", "shown_money"]

_BY_DIGITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY"
    " COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS"
    " INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR"
    " MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP"
    " STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_WITHDRAWN_BY_DIGITS = {
    0: "ADP BEF BYB BYR ESP GRD ITL LUF MGF PTE TPE TRL",
    2: "AFA ANG ATS AZM BGN CSD CUC CYP DEM EEK FIM FRF GHC HRK IEP LTL LVL MRO MTL MZM NLG ROL SDD SIT SKK SLL SRG STD"
    " TMM VEB VEF YUM ZMK ZWD ZWL ZWN ZWR",
}
MINOR_DIGITS = {
    code: digits
    for table in (_BY_DIGITS, _WITHDRAWN_BY_DIGITS)
    for digits, codes in table.items()
    for code in codes.split()
}
"""The decimals of the minor unit of each currency."""


_UNITS = {digits: Decimal(1).scaleb(-digits) for digits in _BY_DIGITS}


def _known(code: str) -> str:
    if code not in MINOR_DIGITS:
        raise ValueError(f"{code} is no currency of ISO 4217: use a code such as GBP")
    return code


KnownCurrency = Annotated[Currency, AfterValidator(_known)]
"""A currency in a request; a stored message is read with any code."""


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount rounded half up to the minor unit of the currency; to two decimals if the currency is unknown."""
    return amount.quantize(_UNITS[MINOR_DIGITS.get(currency, 2)], ROUND_HALF_UP)


def shown_money(amount: Decimal, currency: str) -> dict[str, str]:
    """An amount as answers show it."""
    return {"amount": shown_amount(amount, currency), "currency": currency}


def shown_amount(amount: Decimal, currency: str) -> str:
    """An exact amount as text: with the decimals of the currency's minor unit, and more only if they are not 0."""
    exact = -int(amount.normalize().as_tuple().exponent)
    return f"{amount:.{max(exact, MINOR_DIGITS.get(currency, 2))}f}"
