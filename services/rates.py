"""The names of all rate limits, which ZEROCART_RATES can change.

The variable is the same for all services, so each service accepts the names of the others' limits, and only those.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from services.folders import SERVICES
from services.kit.config.rates import KIT_RATES
from services.kit.domain.errors import ZerocartError

__all__ = ["known_rates", "require_known"]


def known_rates() -> set[str]:
    """The names of the kit's rates and of those in every service's limits.py."""
    limits = [f"services.{service}.limits" for service in SERVICES]
    return {*KIT_RATES, *(name for module in limits if find_spec(module) for name in import_module(module).RATES)}


def require_known(names: Iterable[str]) -> None:
    """ZerocartError if ZEROCART_RATES has the name of no limit."""
    if not (given := set(names)) <= (known := known_rates()):
        unknown, all_names = ", ".join(sorted(given - known)), ", ".join(sorted(known))
        raise ZerocartError("bad-setting", f"ZEROCART_RATES: no limit is called {unknown}; the limits are {all_names}")
