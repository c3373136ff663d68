"""The settings that all services share, read from environment variables when the process starts.

A service with settings of its own declares them in its settings.py. No pydantic-settings: importing it takes 120 ms of
CPU on every cold start, where importing a whole service takes 220 ms (2026-11-29, version 2.16.3, same machine).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.config.kafka_security import KafkaSecurity, kafka_security, plaintext
from services.kit.config.rates import Rate
from services.kit.config.secrets import DIRECTORY, Secret, Secrets, plain
from services.kit.domain.errors import ZerocartError

__all__ = ["Settings", "archive_days", "texts", "whole_numbers"]

DELIVERY_SECONDS = 60.0
MISSED_CHECK_SECONDS = 300.0
RETENTION_DAYS = 30
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RETENTION_DAYS_MIN = 8
"""Kafka keeps records for 7 days by default; a mark must outlive every delivery of its event."""
RETENTION_DAYS_MAX = 36_500


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; an empty address means that the process does not use the server."""

    service: str
    database_url: Secret = field(default=plain(""), repr=False)
    read_database_url: Secret = field(default=plain(""), repr=False)
    kafka_bootstrap_servers: str = ""
    kafka_security: KafkaSecurity = field(default=plaintext, repr=False)
    topic: str = "zerocart.events"
    service_urls: Mapping[str, str] = field(default_factory=dict[str, str])
    namespace: str = "zerocart"
    cors_origins: tuple[str, ...] = ()
    vault_keys: Secret = field(default=plain(""), repr=False)
    issuer: str = "https://zerocart.example"
    token_audience: str = "zerocart"  # noqa: S105 - not a secret
    token_keys: Secret = field(default=plain(""), repr=False)
    token_keys_url: str = ""
    outside_issuer: str = ""
    outside_audience: str = ""
    outside_keys: Secret = field(default=plain(""), repr=False)
    outside_keys_url: str = ""
    events_issuer: str = ""
    events_audience: str = ""
    events_subjects: tuple[str, ...] = ()
    events_keys: Secret = field(default=plain(""), repr=False)
    events_keys_url: str = ""
    rates: Mapping[str, Rate] = field(default_factory=dict[str, Rate])
    delivery_seconds: float = DELIVERY_SECONDS
    """An event counts as missed if it was not handled within this time after it was appended."""
    missed_check_seconds: float = MISSED_CHECK_SECONDS
    """How often a service that is awake looks for missed events."""
    retention_days: int = RETENTION_DAYS
    """How long a service recognizes repeated messages and repeated requests with an `Idempotency-Key`."""
    archive: str = ""
    """The folder with the files of archived events; a process needs it only to read what is archived."""
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, service: str, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings of `service`; ZerocartError names the variable that is wrong."""
        secrets = Secrets(environ)
        found = cls(
            service=service,
            database_url=secrets.reading("ZEROCART_DATABASE_URL"),
            read_database_url=secrets.reading("ZEROCART_READ_DATABASE_URL"),
            kafka_bootstrap_servers=environ.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            kafka_security=kafka_security(secrets),
            topic=environ.get("ZEROCART_TOPIC", "zerocart.events"),
            service_urls=texts("ZEROCART_SERVICE_URLS", environ.get("ZEROCART_SERVICE_URLS", "")),
            namespace=environ.get("ZEROCART_NAMESPACE", "zerocart"),
            cors_origins=_several(environ.get("ZEROCART_CORS_ORIGINS", "")),
            vault_keys=secrets.reading("ZEROCART_VAULT_KEYS"),
            issuer=environ.get("ZEROCART_ISSUER", "https://zerocart.example"),
            token_audience=environ.get("ZEROCART_TOKEN_AUDIENCE", "zerocart"),
            token_keys=secrets.reading("ZEROCART_TOKEN_KEYS"),
            token_keys_url=environ.get("ZEROCART_TOKEN_KEYS_URL", ""),
            outside_issuer=environ.get("ZEROCART_OUTSIDE_ISSUER", ""),
            outside_audience=environ.get("ZEROCART_OUTSIDE_AUDIENCE", ""),
            outside_keys=secrets.reading("ZEROCART_OUTSIDE_KEYS"),
            outside_keys_url=environ.get("ZEROCART_OUTSIDE_KEYS_URL", ""),
            events_issuer=environ.get("ZEROCART_EVENTS_ISSUER", ""),
            events_audience=environ.get("ZEROCART_EVENTS_AUDIENCE", ""),
            events_subjects=_several(environ.get("ZEROCART_EVENTS_SUBJECTS", "")),
            events_keys=secrets.reading("ZEROCART_EVENTS_KEYS"),
            events_keys_url=environ.get("ZEROCART_EVENTS_KEYS_URL", ""),
            rates=_rates("ZEROCART_RATES", environ.get("ZEROCART_RATES", "")),
            delivery_seconds=_seconds("ZEROCART_DELIVERY_SECONDS", environ, DELIVERY_SECONDS),
            missed_check_seconds=_seconds("ZEROCART_MISSED_CHECK_SECONDS", environ, MISSED_CHECK_SECONDS),
            retention_days=_days("ZEROCART_RETENTION_DAYS", environ, RETENTION_DAYS),
            archive=environ.get("ZEROCART_ARCHIVE", ""),
            log_level=_level(environ.get("LOG_LEVEL") or "INFO"),
        )
        found.require_keys()
        return found

    def require_keys(self) -> None:
        """ZerocartError if an issuer of tokens is trusted and its keys are missing."""
        if self.outside_issuer:
            if self.outside_issuer == self.issuer:
                raise ZerocartError(
                    "bad-setting", "ZEROCART_OUTSIDE_ISSUER equals ZEROCART_ISSUER: name another issuer"
                )
            keys = self.outside_keys() or self.outside_keys_url
            self.require(ZEROCART_OUTSIDE_AUDIENCE=self.outside_audience, ZEROCART_OUTSIDE_KEYS=keys)
        if self.events_issuer:
            self.require(ZEROCART_EVENTS_KEYS=self.events_keys() or self.events_keys_url)

    def require(self, **found: str) -> None:
        """ZerocartError that names every variable in `found` with an empty value."""
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise ZerocartError(
                "missing-settings",
                f"{self.service} cannot start without {', '.join(missing)}:"
                f" set it, or put a file of that name into the directory that {DIRECTORY} names",
            )


def _level(text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ZerocartError("bad-setting", f"LOG_LEVEL is {text!r}: use one of {', '.join(LOG_LEVELS)}")
    return text


def _seconds(name: str, environ: Mapping[str, str], default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise ZerocartError("bad-setting", f"{name} must be a number of seconds above 0, and is {text!r}")
    return found


def _days(name: str, environ: Mapping[str, str], default: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not RETENTION_DAYS_MIN <= int(text) <= RETENTION_DAYS_MAX:
        raise ZerocartError(
            "bad-setting",
            f"{name} must be a whole number from {RETENTION_DAYS_MIN} to {RETENTION_DAYS_MAX}, and is {text!r}",
        )
    return int(text)


def archive_days(environ: Mapping[str, str] = os.environ) -> int | None:
    """The age in days at which finished streams are archived, None for never; ZerocartError if it is no such number.

    Its minimum is that of the retention, so that no message of an archived stream is still being delivered.
    """
    return _days("ZEROCART_ARCHIVE_DAYS", environ, 0) if environ.get("ZEROCART_ARCHIVE_DAYS") else None


def _several(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


def texts(name: str, text: str) -> Mapping[str, str]:
    """The values of a JSON object by name, as texts; ZerocartError if `text` is no JSON object."""
    return {key: str(value) for key, value in _object(name, text).items()}


def _rates(name: str, text: str) -> Mapping[str, Rate]:
    return {key: Rate.parse(rate) for key, rate in texts(name, text).items()}


def whole_numbers(variable: str, text: str) -> Mapping[str, int]:
    """The values of a JSON object by name; ZerocartError if one is not a whole number."""
    found = _object(variable, text)
    wrong = [name for name, value in found.items() if not isinstance(value, int)]
    if wrong:
        raise ZerocartError("bad-setting", f"{variable}: {wrong[0]} is not a whole number")
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _object(variable: str, text: str) -> Mapping[str, object]:
    if not text:
        return {}
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise ZerocartError("bad-setting", f"{variable} is not JSON") from error
    if not isinstance(found, dict):
        raise ZerocartError("bad-setting", f"{variable} is not a JSON object")
    return {str(name): value for name, value in found.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
