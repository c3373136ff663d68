"""Connections through a pooler in transaction mode, such as PgBouncer with `pool_mode = transaction`.

Such a pooler gives each transaction any of its server connections. So a connection through it has no settings of its
own and no prepared statements: each transaction sets its settings, and each statement is parsed anew. The address of
the database says that there is a pooler: `postgresql://…?pooler=transaction`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from services.kit.domain.errors import ZerocartError

__all__ = ["connect_arguments", "is_pooled", "local_settings"]

PARAMETER = "pooler"


def is_pooled(dsn: str) -> bool:
    """Whether the address names a pooler in transaction mode; ZerocartError if it names another kind."""
    kind = dict(parse_qsl(urlsplit(dsn).query)).get(PARAMETER)
    if kind not in (None, "transaction"):
        raise ZerocartError("bad-setting", f"a database address has {PARAMETER}={kind}: only `transaction` is possible")
    return kind is not None


def connect_arguments(dsn: str, settings: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of `asyncpg.connect` for this address: with the settings, or without them through a pooler."""
    if not is_pooled(dsn):
        return {"dsn": dsn, "server_settings": dict(settings)}
    parts = urlsplit(dsn)
    others = [(name, value) for name, value in parse_qsl(parts.query) if name != PARAMETER]
    return {"dsn": parts._replace(query=urlencode(others)).geturl(), "statement_cache_size": 0}


def local_settings(settings: Mapping[str, str]) -> str:
    """A statement that gives the open transaction these settings."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())
