"""TLS and passwords for Kafka, by the names of the settings of Kafka's own clients."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict

from services.kit.domain.errors import ZerocartError

if TYPE_CHECKING:
    from ssl import SSLContext

    from services.kit.config.secrets import Secrets

__all__ = ["KafkaOptions", "KafkaSecurity", "kafka_security", "plaintext"]

PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


class KafkaOptions(TypedDict, total=False):
    """The security options of a Kafka client."""

    security_protocol: str
    ssl_context: SSLContext
    sasl_mechanism: str
    sasl_plain_username: str
    sasl_plain_password: str


KafkaSecurity = Callable[[], KafkaOptions]
"""Returns the options at every connection, so that a rotated password takes effect."""


def plaintext() -> KafkaOptions:
    """The options without TLS and password."""
    return {}


def kafka_security(secrets: Secrets) -> KafkaSecurity:
    """The options by KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, _USER and _PASSWORD, and KAFKA_CA (in PEM)."""
    return lambda: _options(secrets)


def _options(secrets: Secrets) -> KafkaOptions:
    protocol = _one_of("KAFKA_SECURITY_PROTOCOL", secrets, PROTOCOLS)
    if protocol == "PLAINTEXT":
        return {}
    options: KafkaOptions = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _context(secrets.find("KAFKA_CA"))
    if protocol.startswith("SASL"):
        options["sasl_mechanism"] = _one_of("KAFKA_SASL_MECHANISM", secrets, MECHANISMS)
        options["sasl_plain_username"] = secrets.find("KAFKA_SASL_USER")
        options["sasl_plain_password"] = secrets.find("KAFKA_SASL_PASSWORD")
    return options


def _one_of(name: str, secrets: Secrets, known: tuple[str, ...]) -> str:
    """The value of the setting, or the first of `known` if it is not set."""
    value = secrets.find(name).strip() or known[0]
    if value not in known:
        raise ZerocartError("bad-setting", f"{name} must be one of {', '.join(known)}")
    return value


def _context(authority: str) -> SSLContext:
    """A context that trusts `authority` alone, or the authorities of the system if it is empty."""
    import ssl

    try:
        return ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise ZerocartError("bad-setting", "KAFKA_CA is not a certificate in PEM") from error
