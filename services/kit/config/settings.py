"""The settings that all services share, read from environment variables when the process starts.

A service with settings of its own declares them in its settings.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.config.kafka_security import KafkaSecurity, kafka_security, plaintext
from services.kit.config.rates import Rate
from services.kit.config.secrets import DIRECTORY, Secret, Secrets
from services.kit.config.variables import read_settings, seconds, secret, setting, several, texts
from services.kit.domain.errors import ZerocartError

__all__ = ["Settings", "archive_days"]

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RETENTION_DAYS_MIN = 8
"""Kafka keeps records for 7 days by default; a mark must outlive every delivery of its event."""
RETENTION_DAYS_MAX = 36_500


def _level(name: str, text: str) -> str:
    if text.upper() not in LOG_LEVELS:
        raise ZerocartError("bad-setting", f"{name} is {text!r}: use one of {', '.join(LOG_LEVELS)}")
    return text


def _rates(name: str, text: str) -> Mapping[str, Rate]:
    return {key: Rate.parse(rate) for key, rate in texts(name, text).items()}


def _days(name: str, text: str) -> int:
    if not text.isdecimal() or not RETENTION_DAYS_MIN <= int(text) <= RETENTION_DAYS_MAX:
        raise ZerocartError(
            "bad-setting",
            f"{name} must be a whole number from {RETENTION_DAYS_MIN} to {RETENTION_DAYS_MAX}, and is {text!r}",
        )
    return int(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; an empty address means that the process does not use the server."""

    service: str
    database_url: Secret = secret("ZEROCART_DATABASE_URL")
    read_database_url: Secret = secret("ZEROCART_READ_DATABASE_URL")
    kafka_bootstrap_servers: str = setting("KAFKA_BOOTSTRAP_SERVERS", "")
    kafka_security: KafkaSecurity = field(default=plaintext, repr=False)
    topic: str = setting("ZEROCART_TOPIC", "zerocart.events")
    outbox_url: str = setting("ZEROCART_OUTBOX_URL", "")
    """The service that publishes the outboxes of all when Kafka is back; empty where services never end."""
    service_urls: Mapping[str, str] = setting("ZEROCART_SERVICE_URLS", {}, texts)
    namespace: str = setting("ZEROCART_NAMESPACE", "zerocart")
    cors_origins: tuple[str, ...] = setting("ZEROCART_CORS_ORIGINS", (), several)
    vault_keys: Secret = secret("ZEROCART_VAULT_KEYS")
    issuer: str = setting("ZEROCART_ISSUER", "https://zerocart.example")
    token_audience: str = setting("ZEROCART_TOKEN_AUDIENCE", "zerocart")
    token_keys: Secret = secret("ZEROCART_TOKEN_KEYS")
    token_keys_url: str = setting("ZEROCART_TOKEN_KEYS_URL", "")
    outside_issuer: str = setting("ZEROCART_OUTSIDE_ISSUER", "")
    outside_audience: str = setting("ZEROCART_OUTSIDE_AUDIENCE", "")
    outside_keys: Secret = secret("ZEROCART_OUTSIDE_KEYS")
    outside_keys_url: str = setting("ZEROCART_OUTSIDE_KEYS_URL", "")
    events_issuer: str = setting("ZEROCART_EVENTS_ISSUER", "")
    events_audience: str = setting("ZEROCART_EVENTS_AUDIENCE", "")
    events_subjects: tuple[str, ...] = setting("ZEROCART_EVENTS_SUBJECTS", (), several)
    events_keys: Secret = secret("ZEROCART_EVENTS_KEYS")
    events_keys_url: str = setting("ZEROCART_EVENTS_KEYS_URL", "")
    rates: Mapping[str, Rate] = setting("ZEROCART_RATES", {}, _rates)
    delivery_seconds: float = setting("ZEROCART_DELIVERY_SECONDS", 60.0, seconds)
    """An event counts as missed if it was not handled within this time after it was appended."""
    missed_check_seconds: float = setting("ZEROCART_MISSED_CHECK_SECONDS", 300.0, seconds)
    """How often a service that is awake looks for missed events."""
    retention_days: int = setting("ZEROCART_RETENTION_DAYS", 30, _days)
    """How long a service recognizes repeated messages and repeated requests with an `Idempotency-Key`."""
    archive: str = setting("ZEROCART_ARCHIVE", "")
    """The folder with the files of archived events; a process needs it only to read what is archived."""
    log_level: str = setting("LOG_LEVEL", "INFO", _level)

    @classmethod
    def from_environment(cls, service: str, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings of `service`; ZerocartError names the variable that is wrong."""
        found = read_settings(cls, environ, service=service, kafka_security=kafka_security(Secrets(environ)))
        found.require_keys()
        return found

    def require_keys(self) -> None:
        """Raise ZerocartError if an issuer of tokens is trusted and its keys are missing."""
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
        """Raise ZerocartError if variables in `found` are empty; the error names all of them."""
        missing = [name for name, value in found.items() if not value]
        if missing:
            raise ZerocartError(
                "missing-settings",
                f"{self.service} cannot start without {', '.join(missing)}:"
                f" set it, or put a file of that name into the directory that {DIRECTORY} names",
            )


def archive_days(environ: Mapping[str, str] = os.environ) -> int | None:
    """The age in days at which finished streams are archived, None for never; ZerocartError if it is no such number.

    Its minimum is that of the retention, so that no message of an archived stream is still being delivered.
    """
    text = environ.get("ZEROCART_ARCHIVE_DAYS")
    return _days("ZEROCART_ARCHIVE_DAYS", text) if text else None
