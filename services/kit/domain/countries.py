"""The countries of ISO 3166-1, by their codes of two letters."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

__all__ = ["COUNTRIES", "KnownCountry"]

_ASSIGNED = (
    "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW "
    "BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI "
    "FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN "
    "IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME "
    "MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF "
    "PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV "
    "SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE "
    "YT ZA ZM ZW"
)
_BESIDE = "EU XK ZZ"
"""Codes that ISO 3166-1 does not assign: it reserves EU, which other shops write in the place of a country;
carriers use XK for Kosovo, and ZZ is a place to which nobody delivers."""
COUNTRIES = frozenset([*_ASSIGNED.split(), *_BESIDE.split()])

_INSTEAD = {"UK": "GB", "EL": "GR", "FX": "FR", "AN": "CW, SX or BQ", "CS": "RS or ME", "TP": "TL", "ZR": "CD"}
"""The code to send, by a code that is not assigned: other standards use it, or ISO withdrew it."""


def _known(code: str) -> str:
    if code not in COUNTRIES:
        instead = f"send {_INSTEAD[code]} instead" if code in _INSTEAD else "send a code such as GB"
        raise ValueError(f"{code} is not the code of a country (ISO 3166-1 alpha-2): {instead}")
    return code


KnownCountry = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$"), AfterValidator(_known)]
"""A country in a request; a stored message is read with any code."""
