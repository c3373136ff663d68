"""The settings of webhooks."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from services.kit.config.secrets import Secret
from services.kit.config.variables import read_settings, secret, setting
from services.kit.domain.errors import ZerocartError

__all__ = ["WebhooksSettings"]

HTTPS_PORT = 443


def _networks(name: str, text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise ZerocartError("bad-setting", f"{name}: {error}. Use networks such as 10.0.0.0/8") from error


def _ports(name: str, text: str) -> frozenset[int]:
    if text == "*":
        return frozenset()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() and 0 < int(part) < 65_536 for part in parts):
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use ports such as 443,8443, or *")
    return frozenset(map(int, parts))


def _truth(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use true or false")
    return text == "true"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhooksSettings:
    """The keys that secrets derive from, and where endpoints may be: by default on public addresses, by HTTPS."""

    keys: Secret = secret("ZEROCART_WEBHOOK_KEYS")
    networks: tuple[IPv4Network | IPv6Network, ...] = setting("ZEROCART_WEBHOOK_NETWORKS", (), _networks)
    """Networks that are allowed although they are not public."""
    ports: frozenset[int] = setting("ZEROCART_WEBHOOK_PORTS", frozenset({HTTPS_PORT}), _ports)
    """Empty: every port."""
    http: bool = setting("ZEROCART_WEBHOOK_HTTP", False, _truth)
    """Whether URLs without TLS are allowed."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> WebhooksSettings:
        """The settings in the environment; ZerocartError names the variable that is wrong."""
        return read_settings(cls, environ)
