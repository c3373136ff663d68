"""Reads CloudEvents from HTTP requests and writes them as Kafka headers (CloudEvents 1.0.2, HTTP and Kafka bindings).

It is stricter than the SDK where Knative's Kafka broker would corrupt or skip an event (tests/tools/data has the
recorded cases). Events in binary mode are read without the SDK, whose import is a tenth of a cold start. Structured
mode is rare and uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from services.kit.domain.errors import FieldError, Invalid, Unreadable
from services.kit.domain.principal import ATTRIBUTES as PRINCIPAL
from services.kit.eventstore.port import RecordedEvent
from services.kit.wire.strict_json import is_storable

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
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_REQUIRED = ("id", "source", "type", "time")
_META = ("subject", "partitionkey", "correlationid", "causationid", "traceparent", "expirytime", *PRINCIPAL)


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
    if trace := meta.get("traceparent"):
        headers.append(("traceparent", trace.encode()))  # the broker continues a trace from this header only
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
        "time": _rfc3339(event.time),
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
    media_type = content_type.split(";")[0].strip().lower()
    if media_type.startswith("application/cloudevents"):
        attributes, body, media_type = _structured(media_type, attributes, body)
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


def _structured(media_type: str, outside: Mapping[str, str], body: bytes) -> tuple[dict[str, str], bytes, str]:
    if media_type != STRUCTURED_TYPE:
        raise Unreadable(
            "unsupported-content-mode", f"{media_type} is not supported: send one event as {STRUCTURED_TYPE}"
        )
    if set(outside) - {"knativekafkapartition", "knativekafkaoffset"}:
        raise Unreadable("mixed-content-modes", "attributes are in the headers and in the body")
    from cloudevents.core.bindings.http import HTTPMessage, from_structured_event

    _refuse_odd_members(body)
    try:
        event = from_structured_event(HTTPMessage(headers={"content-type": STRUCTURED_TYPE}, body=body))
    except Exception as error:  # the SDK raises whatever its parsers raise
        raise Unreadable("unreadable-event", f"not a structured CloudEvent: {type(error).__name__}") from error
    attributes = {name: _attribute_text(name, value) for name, value in event.get_attributes().items()}
    data = event.get_data()
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return attributes, raw, str(attributes.get("datacontenttype", JSON_TYPE)).split(";")[0].strip().lower()


def _refuse_odd_members(body: bytes) -> None:
    try:
        members = json.loads(body, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError) as error:
        raise Unreadable("unreadable-event", "the body is not JSON, or an attribute occurs twice") from error
    if not isinstance(members, dict):
        raise Unreadable("unreadable-event", "the body is not a JSON object")


def _no_repeats(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _attribute_text(name: str, value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int):
        return str(value)
    raise Invalid("bad-attribute", f"{name} has a type that an attribute cannot have", (_field(name, "bad-type"),))


def _checked(attributes: Mapping[str, str], media_type: str, body: bytes) -> Incoming:
    if not attributes:
        raise Unreadable("not-a-cloudevent", "no CloudEvents attributes")
    if attributes.get("specversion") != "1.0":
        raise Invalid("bad-attribute", "specversion is not 1.0", (_field("specversion", "unsupported"),))
    missing = tuple(_field(name, "missing") for name in _REQUIRED if not attributes.get(name))
    if missing:
        raise Invalid("missing-attribute", "missing: " + ", ".join(error.field for error in missing), missing)
    odd = tuple(_field(name, "bad-value") for name, value in attributes.items() if not _sound(name, value))
    if odd:
        raise Invalid("bad-attribute", "not usable: " + ", ".join(error.field for error in odd), odd)
    if not is_storable(body):
        raise Invalid("bad-data", "a text in the data has NUL or half a character", (_field("data", "not-storable"),))
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
    # a replayed dead letter may carry an empty extension; the required attributes are checked before
    return _NAME.fullmatch(name) is not None and (value == "" or name == "knativeerrordata" or is_clean(value))


def _field(name: str, code: str) -> FieldError:
    return FieldError(name, code, code.replace("-", " "))


def _instant(name: str, text: str) -> datetime:
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(_microseconds(text.upper())).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "bad-attribute", f"{name} is not an RFC 3339 instant with zone", (_field(name, "bad-instant"),)
        ) from error


def _microseconds(text: str) -> str:
    # a nanosecond clock sends nine digits, of which datetime keeps six
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
