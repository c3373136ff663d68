"""One JSON object a line on stdout, with trace and correlation ids; no personal data goes in, secrets are cut."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime
from urllib.parse import unquote

from services.kit.telemetry.tracing import TRACE

__all__ = ["CORRELATION", "REDACTED", "configure", "keep_out", "log", "without_values"]

CORRELATION: ContextVar[str] = ContextVar("correlationid", default="")
"""The id of the order, or of the other thing, that this task is about."""

REDACTED = "[redacted]"
SECRET_CHARS_MIN = 6
"""Shorter texts are not replaced: they occur by chance."""

VALUES = re.compile(r"\nDETAIL: .*?(?=\nHINT: |\n\nThe above |\n\nDuring handling |\Z)", re.DOTALL)
"""What Postgres adds to an error: the values of the row, which may be personal data."""

_secrets: set[str] = set()
_logger = logging.getLogger("zerocart")


class _JsonLines(logging.Formatter):
    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "service": self._service,
            "event": record.getMessage(),
            "trace_id": TRACE.get()[3:35] or None,
            "span_id": TRACE.get()[36:52] or None,
            "correlation_id": CORRELATION.get() or None,
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = without_values(self.formatException(record.exc_info))
        return _redacted(json.dumps({name: value for name, value in line.items() if value is not None}, default=str))


def without_values(error: str) -> str:
    """The text of an error or of its traceback, without the values of rows that Postgres names in it."""
    return VALUES.sub("", error)


def keep_out(secret: str) -> None:
    """From now on, replace this text in each log line; if it is a URL, replace its password as well."""
    password = secret.partition("://")[2].rpartition("@")[0].partition(":")[2]
    _secrets.update(text for text in (secret, password, unquote(password)) if len(text) >= SECRET_CHARS_MIN)


def _redacted(line: str) -> str:
    for secret in _secrets:
        line = line.replace(json.dumps(secret)[1:-1], REDACTED)
    return line


def configure(service: str, level: str = "INFO") -> None:
    """Make every logger of this process write JSON lines to stdout."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_JsonLines(service))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the publisher logs what matters


def log(event: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: object) -> None:
    """Write one line; `event` is a constant phrase, what varies goes into `fields`."""
    _logger.log(level, event, extra={"fields": fields}, exc_info=error)
