"""Reads CloudEvents from HTTP requests and writes them as Kafka headers (CloudEvents 1.0.2; HTTP, Kafka and JSON).

It refuses what the specification forbids, and what Knative's Kafka broker would corrupt or skip (tests/tools/data has
the recorded cases). The SDK reads structured events, whose attributes are checked first: it fills in those that are
missing, so that a repeated event would get another id. Events in binary mode are read without it, because its import is
a tenth of a cold start, and Knative delivers in binary mode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from services.kit.domain.errors import FieldError, Invalid, Unreadable
from services.kit.domain.instants import instant_text
from services.kit.domain.principal import ATTRIBUTES as PRINCIPAL
from services.kit.eventstore.port import RecordedEvent
from services.kit.wire.strict_json import UTF_8, is_storable, read_json

__all__ = [
    "Incoming",
    "as_delivered",
    "event_id",
    "is_clean",
    "kafka_headers",
    "message_key",
    "read_event",
    "source_of",
]

JSON_TYPE = "application/json"
STRUCTURED_TYPE = "application/cloudevents+json"
ATTRIBUTE_CHARS_MAX = 4_096

_NAME = re.compile(r"[a-z0-9]{1,64}")
_CLEAN = re.compile(r"[ !-$&-~]+")
_HOUR = r"([01]\d|2[0-3]):[0-5]\d"
_TIME = re.compile(rf"\d{{4}}-\d\d-\d\d[Tt]{_HOUR}:[0-5]\d(\.\d{{1,9}})?([Zz]|[+-]{_HOUR})", re.ASCII)
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")
_URI_REFERENCE = re.compile(r"[A-Za-z0-9._~:/?#@!$&'()*+,;=\[\]-]+")
_URI = re.compile(rf"[A-Za-z][A-Za-z0-9+.-]*:{_URI_REFERENCE.pattern}")
_REQUIRED = ("id", "source", "type", "time")
_CORE = frozenset({"specversion", *_REQUIRED, "subject", "dataschema", "datacontenttype"})
"""The attributes of the specification, which are texts and not empty."""
_OF_THE_BROKER = frozenset({"knativekafkapartition", "knativekafkaoffset"})
INTEGER_MAX = 2**31 - 1
_META = (
    "subject",
    "partitionkey",
    "correlationid",
    "causationid",
    "traceparent",
    "tracestate",
    "expirytime",
    *PRINCIPAL,
)


@dataclass(frozen=True, slots=True)
class Incoming:
    """A delivered CloudEvent; `attributes` holds every attribute as text, `data` the JSON bytes."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: bytes
    attributes: Mapping[str, str]

    @property
    def key(self) -> str:
        """The identity of the event, the same in every delivery (CloudEvents 1.0.2: source and id)."""
        return _key(self.source, self.id)

    @property
    def trace(self) -> tuple[str, str]:
        """The traceparent and the tracestate that the producer wrote; empty if there are none."""
        return self.attributes.get("traceparent", ""), self.attributes.get("tracestate", "")

    @property
    def expired_at(self) -> datetime | None:
        """The time after which a request must not be carried out; None if it does not expire."""
        text = self.attributes.get("expirytime")
        return _instant("expirytime", text) if text else None


def event_id(stream: str, version: int) -> str:
    """The CloudEvents id of a recorded event, the same in every publication."""
    return f"{stream}:{version}"


def source_of(service: str) -> str:
    """The CloudEvents source of a service's events."""
    return f"/zerocart/{service}"


def is_clean(value: str) -> bool:
    """Whether Knative's Kafka broker delivers this value unchanged: printable ASCII without `%`, not empty."""
    return _CLEAN.fullmatch(value) is not None and len(value) <= ATTRIBUTE_CHARS_MAX


def message_key(event: RecordedEvent) -> str:
    """The key that a recorded event has when it is delivered (Incoming.key)."""
    return _key(source_of(event.service), event_id(event.stream, event.version))


def kafka_headers(event: RecordedEvent) -> tuple[str, list[tuple[str, bytes]]]:
    """The Kafka key and headers of a recorded event, in binary content mode."""
    meta: dict[str, str] = json.loads(event.meta)
    attributes = _attributes_of(event, meta)
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    headers.append(("content-type", JSON_TYPE.encode()))
    # the broker continues a trace from these headers only
    headers.extend((name, meta[name].encode()) for name in ("traceparent", "tracestate") if meta.get(name))
    return meta["partitionkey"], headers


def as_delivered(event: RecordedEvent) -> Incoming:
    """A recorded event as the broker delivers it."""
    return _checked(_attributes_of(event, json.loads(event.meta)), JSON_TYPE, event.data.encode())


def _attributes_of(event: RecordedEvent, meta: Mapping[str, str]) -> dict[str, str]:
    return {
        "specversion": "1.0",
        "id": event_id(event.stream, event.version),
        "source": source_of(event.service),
        "type": event.type,
        "time": instant_text(event.time.astimezone(UTC)),
        "dataschema": f"urn:zerocart:schema:{event.type}",
        "position": str(event.position),
        **{name: meta[name] for name in _META if meta.get(name)},
    }


def _key(source: str, id_: str) -> str:
    return f"{source} {id_}"


def read_event(headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Incoming:
    """The CloudEvent in an HTTP request, in binary or structured mode; Unreadable or Invalid if there is none."""
    content_type = ""
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name[:3] == b"ce-":
            _add(attributes, name[3:].decode("latin-1").lower(), _header_text(name, value))
        elif name == b"content-type":
            content_type = value.decode("latin-1").strip()
    media_type = _media_type(content_type)
    if media_type.startswith("application/cloudevents"):
        return _structured(content_type, attributes, body)
    if "datacontenttype" in attributes:
        raise Invalid("bad-attribute", "send datacontenttype as Content-Type", (_field("datacontenttype", "repeated"),))
    return _checked(attributes, media_type, body)


def _add(attributes: dict[str, str], name: str, value: str) -> None:
    if name in attributes:
        raise Unreadable("repeated-attribute", f"the attribute {name} occurs twice")
    attributes[name] = value


def _header_text(name: bytes, value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        label = name.decode("latin-1")
        raise Invalid(
            "bad-attribute", f"{label} is not ASCII", (FieldError(label, "not-ascii", "not ASCII"),)
        ) from error


def _structured(content_type: str, outside: Mapping[str, str], body: bytes) -> Incoming:
    media_type, _, parameters = content_type.lower().partition(";")
    if media_type.strip() != STRUCTURED_TYPE or parameters.strip() not in UTF_8:
        raise Unreadable(
            "unsupported-content-mode",
            f"{content_type} is not supported: send one event as {STRUCTURED_TYPE}, in UTF-8",
        )
    members = read_json(body)
    if not isinstance(members, dict):
        raise Unreadable("unreadable-event", "the body is not a JSON object")
    members = cast("dict[str, object]", members)
    # null means absent (JSON format 1.0.2, section 2.2)
    attributes = {
        name: _attribute_text(name, value)
        for name, value in members.items()
        if value is not None and name not in ("data", "data_base64")
    }
    if any(attributes.get(name) != value for name, value in outside.items() if name not in _OF_THE_BROKER):
        raise Unreadable("mixed-content-modes", "an attribute in the headers differs from the one in the body")
    _check(attributes)
    return _incoming(attributes, _media_type(attributes.get("datacontenttype", JSON_TYPE)), _data(members))


def _data(members: Mapping[str, object]) -> bytes:
    """The data of a structured event whose attributes are sound."""
    from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

    present = {name: value for name, value in members.items() if value is not None or name == "data"}
    try:
        message = HTTPMessage(headers={"content-type": STRUCTURED_TYPE}, body=json.dumps(present).encode())
        data = from_structured_event(message).get_data()
    except Exception as error:  # the SDK raises whatever its parsers raise
        raise Unreadable("unreadable-event", f"not a structured CloudEvent: {type(error).__name__}") from error
    if isinstance(data, bytes):
        return data
    return json.dumps(data).encode() if "data" in present else b""


def _attribute_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if name not in _CORE:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int) and -INTEGER_MAX - 1 <= value <= INTEGER_MAX:
            return str(value)
    raise Invalid("bad-attribute", f"{name} cannot have this JSON type", (_field(name, "bad-type"),))


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _check(attributes: Mapping[str, str]) -> None:
    if not attributes:
        raise Unreadable("not-a-cloudevent", "no CloudEvents attributes")
    if attributes.get("specversion") != "1.0":
        raise Invalid("bad-attribute", "specversion is not 1.0", (_field("specversion", "unsupported"),))
    if attributes.get("expirytime"):
        _instant("expirytime", attributes["expirytime"])
    missing = tuple(_field(name, "missing") for name in _REQUIRED if not attributes.get(name))
    if missing:
        raise Invalid("missing-attribute", "lacks attributes: " + ", ".join(error.field for error in missing), missing)
    odd = tuple(_field(name, "bad-value") for name, value in attributes.items() if not _sound(name, value))
    if odd:
        raise Invalid("bad-attribute", "attributes are not valid: " + ", ".join(error.field for error in odd), odd)


def _checked(attributes: Mapping[str, str], media_type: str, body: bytes) -> Incoming:
    _check(attributes)
    return _incoming(attributes, media_type, body)


def _incoming(attributes: Mapping[str, str], media_type: str, body: bytes) -> Incoming:
    """The event with sound attributes."""
    if not is_storable(body):
        raise Invalid("bad-data", "Postgres cannot store NUL or a lone surrogate", (_field("data", "not-storable"),))
    if media_type != JSON_TYPE:
        raise Invalid("bad-content-type", f"data must be {JSON_TYPE}", (_field("datacontenttype", "unsupported"),))
    return Incoming(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        subject=attributes.get("subject", ""),
        time=_instant("time", attributes["time"]),
        data=body,
        attributes=attributes,
    )


def _sound(name: str, value: str) -> bool:
    if _NAME.fullmatch(name) is None or name == "data":
        return False
    match name:
        case "source":
            return is_clean(value) and _URI_REFERENCE.fullmatch(value) is not None
        case "dataschema":
            return is_clean(value) and _URI.fullmatch(value) is not None
        case "knativeerrordata":
            return True
        case _:
            # a replayed dead letter may carry an empty extension
            return is_clean(value) or (value == "" and name not in _CORE)


def _field(name: str, code: str) -> FieldError:
    return FieldError(name, code, code.replace("-", " "))


def _instant(name: str, text: str) -> datetime:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(_microseconds(text.upper())).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "bad-attribute", f"{name} is not a time with a zone (RFC 3339)", (_field(name, "bad-instant"),)
        ) from error


def _microseconds(text: str) -> str:
    # a nanosecond clock sends nine digits, of which datetime keeps six
    return _NANOSECONDS.sub(r"\1", text)
