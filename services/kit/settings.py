"""Where a service finds what it needs: environment variables, read once when the process starts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from services.kit.errors import ZerocartError

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of one process; an empty address means that the service does not use it."""

    service: str
    database_url: str = field(default="", repr=False)
    read_database_url: str = field(default="", repr=False)
    kafka_bootstrap_servers: str = ""
    topic: str = "zerocart.events"
    service_urls: Mapping[str, str] = field(default_factory=dict[str, str])
    smtp_url: str = field(default="", repr=False)
    mail_from: str = "orders@zerocart.example"
    clock_url: str = ""
    namespace: str = "zerocart"
    sandbox: str = ""
    cors_origins: tuple[str, ...] = ()
    log_level: str = "INFO"

    @classmethod
    def from_environment(cls, service: str, environ: Mapping[str, str] = os.environ) -> Settings:
        """The settings of `service`; ZerocartError names the variable that is wrong."""
        return cls(
            service=service,
            database_url=environ.get("ZEROCART_DATABASE_URL", ""),
            read_database_url=environ.get("ZEROCART_READ_DATABASE_URL", ""),
            kafka_bootstrap_servers=environ.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            topic=environ.get("ZEROCART_TOPIC", "zerocart.events"),
            service_urls=_service_urls(environ.get("ZEROCART_SERVICE_URLS", "")),
            smtp_url=environ.get("ZEROCART_SMTP_URL", ""),
            mail_from=environ.get("ZEROCART_MAIL_FROM", "orders@zerocart.example"),
            clock_url=environ.get("ZEROCART_CLOCK_URL", ""),
            namespace=environ.get("ZEROCART_NAMESPACE", "zerocart"),
            sandbox=environ.get("ZEROCART_SANDBOX", ""),
            cors_origins=tuple(filter(None, environ.get("ZEROCART_CORS_ORIGINS", "").split(","))),
            log_level=environ.get("LOG_LEVEL", "INFO"),
        )


def _service_urls(text: str) -> Mapping[str, str]:
    if not text:
        return {}
    try:
        urls: object = json.loads(text)
    except ValueError as error:
        raise ZerocartError("bad-setting", "ZEROCART_SERVICE_URLS is not JSON") from error
    if not isinstance(urls, dict):
        raise ZerocartError("bad-setting", "ZEROCART_SERVICE_URLS is not a JSON object")
    return {str(name): str(url) for name, url in urls.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
