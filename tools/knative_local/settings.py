"""The environment variables of the local cluster and of the `zerocart` command: their names, meanings and checks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SETTINGS", "BadSettingError", "Setting", "folder", "port", "seconds"]


class BadSettingError(Exception):
    """An environment variable holds something that cannot be used; says what it must be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, as `zerocart --help` shows it."""

    name: str
    meaning: str


SETTINGS: Sequence[Setting] = (
    Setting("ZEROCART_HOME", "the state folder of the cluster (default .zerocart)"),
    Setting("ZEROCART_EDGE_PORT", "the port of the REST edge (default 8080)"),
    Setting("ZEROCART_WINDOW", "seconds without a request after which a process of a service ends (default 10)"),
    Setting("ZEROCART_FORK", "1: services start as forks of the cluster, which is faster than a real cold start"),
    Setting("ZEROCART_START_SECONDS", "seconds without progress after which a start fails (default 120)"),
    Setting("ZEROCART_FETCH_SECONDS", "seconds without data after which a download fails (default 60)"),
    Setting("ZEROCART_CACHE", "the folder of downloads (default ~/.cache/zerocart)"),
    Setting("ZEROCART_MAVEN_REPOSITORY", "a mirror to download Apache Kafka from"),
    Setting("ZEROCART_MANIFESTS", "the folder of the Knative manifests (default knative/)"),
    Setting("ZEROCART_OWNER_DATABASE_URL", "a Postgres for the event store instead of the cluster's own"),
    Setting("ZEROCART_READ_OWNER_DATABASE_URL", "a Postgres for the read database instead of the cluster's own"),
    Setting("KAFKA_BOOTSTRAP_SERVERS", "a Kafka instead of the cluster's own"),
    Setting("ZEROCART_OPERATOR_ID", "the client that `replay --edge` logs in as (default operator)"),
    Setting("ZEROCART_OPERATOR_SECRET", "the secret of this client"),
    Setting("ZEROCART_MAILS_URL", "a Mailpit from which `replay --accounts` reads activation codes"),
    Setting("ZEROCART_CORS_ORIGINS", "web origins that may call the edge"),
    Setting("ZEROCART_RATES", "the rate limits of the services, as JSON"),
    Setting("ZEROCART_TIME_ZONE", "the zone of the days of lists and analytics (default UTC)"),
    Setting(
        "ZEROCART_DELIVERY_SECONDS",
        "seconds after which an event that left no inbox mark counts as missed (default 60)",
    ),
    Setting("ZEROCART_MISSED_CHECK_SECONDS", "seconds between two searches for missed events (default 300)"),
    Setting("ZEROCART_RETENTION_DAYS", "days for which repeated messages and requests are recognized (default 30)"),
    Setting("ZEROCART_ARCHIVE", "the folder of archived events (default archive in ZEROCART_HOME; docs/archive.md)"),
    Setting("ZEROCART_ARCHIVE_DAYS", "the age in days at which `zerocart archive` moves finished streams, from 8"),
    Setting("ZEROCART_SHOP_NAME", "the name of the shop in mails and documents"),
    Setting("ZEROCART_SHOP_ADDRESS", "the address of the shop on invoices, with | between the lines"),
    Setting("ZEROCART_SHOP_TAX_ID", "the tax number of the shop on invoices"),
    Setting("ZEROCART_SHOP_URL", "the front end of the shop, to which links in the mails of guests lead"),
    Setting("ZEROCART_SHOP_RULES", "the taxes, shipping costs, coupons and review rules of the shop, as JSON"),
    Setting("ZEROCART_CURRENCY", "the currency of orders that name none (default GBP)"),
    Setting("ZEROCART_ORDER_NUMBER_PREFIX", "the text before each order number"),
    Setting("ZEROCART_WEBHOOK_NETWORKS", "networks that are not public, to which webhooks may send (default loopback)"),
    Setting("ZEROCART_WEBHOOK_PORTS", "ports to which webhooks may send (default *)"),
    Setting("ZEROCART_WEBHOOK_HTTP", "whether webhooks may send to URLs without TLS: true or false (default true)"),
    Setting("ZEROCART_CAPTURE", "when money is taken: at_once, when_reserved or by_hand (default when_reserved)"),
    Setting("ZEROCART_MAIL_FROM", "the sender of mails"),
    Setting("ZEROCART_MAIL_LANGUAGE", "the language of mails and documents: en or de (default en)"),
    Setting("ZEROCART_MAIL_WHEN_PLACED", "yes: also send a mail when an order is placed (default no)"),
    Setting("ZEROCART_MAILS_OFF", "mails that are not sent, separated by commas"),
    Setting("EDGE_TRUSTED_PROXIES", "networks from which the edge accepts X-Forwarded-For"),
    Setting("OTEL_EXPORTER_OTLP_ENDPOINT", "a collector of traces"),
    Setting("LOG_LEVEL", "the log level of services and delivery (default INFO)"),
    Setting("NO_COLOR", "set: print no colours at a terminal"),
    Setting("ZEROCART_DEBUG", "show the traceback of an error"),
)

PORT_MAX = 65_535


def port(name: str, default: int, environ: Mapping[str, str] = os.environ) -> int:
    """A port that a variable names; BadSettingError if it is none."""
    text = environ.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= PORT_MAX:
        raise BadSettingError(f"{name} must be a port from 1 to {PORT_MAX}, and is {text!r}.")
    return int(text)


def folder(name: str, default: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """A folder that a variable names; BadSettingError if it is none. The default need not exist."""
    if not (text := environ.get(name)):
        return default
    if not Path(text).is_dir():
        raise BadSettingError(f"{name} must be a folder, and is {text!r}.")
    return Path(text)


def seconds(name: str, default: float, environ: Mapping[str, str] = os.environ) -> float:
    """A positive number of seconds that a variable names; BadSettingError if it is none."""
    text = environ.get(name, "")
    if not text:
        return default
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found < float("inf"):
        raise BadSettingError(f"{name} must be a number of seconds above 0, and is {text!r}.")
    return found
