"""Records, CloudEvents and HTTP messages, each turned into the other as the Kafka broker's data plane does it."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

__all__ = [
    "Event",
    "NotAnEventError",
    "Record",
    "UnsendableError",
    "event_of",
    "header_text",
    "in_utc",
    "message_event",
    "record_parts",
]

STRUCTURED_TYPE = "application/cloudevents+json"
CLOUDEVENTS_TYPES = "application/cloudevents"
JSON_TYPE = "application/json"

_NAME = re.compile(r"[a-z0-9]+")
_URI = re.compile(r"(?:[^\x00-\x20\x7f\"<>\\^`{|}%]|%[0-9A-Fa-f]{2})*")
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d)(:\d\d)?(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
# of every version but ff; only later versions than 00 may have more fields (W3C Trace Context, 4.3)
_TRACEPARENT = re.compile(
    r"(?:00(?!.{54})|(?!00|ff)[0-9a-f]{2})-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?"
)
_UNSENDABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_REQUIRED = ("specversion", "id", "source", "type")
_CORE = ("subject", "time", "dataschema")


class NotAnEventError(Exception):
    """A message that is no valid CloudEvent; the message says why."""


class UnsendableError(Exception):
    """An event that no HTTP request can carry."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the topic."""

    partition: int
    offset: int
    key: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Event:
    """A CloudEvent; `attributes` holds all of them but datacontenttype, which is `content_type`.

    `extra` are headers that repeat the name of an attribute (a Kne- header of a failed answer may).
    """

    attributes: Mapping[str, str]
    content_type: str | None
    data: bytes | None
    trace: tuple[str, str] | None = None
    """Trace id and flags that the producer's plain traceparent header asked to continue."""
    tracestate: str | None = None
    extra: Sequence[tuple[str, str]] = ()
    _head: list[bytes] = field(default_factory=list[bytes], compare=False)

    def head(self) -> bytes:
        """The header lines of this event in a request, computed once; UnsendableError if there is no such request."""
        if not self._head:
            self._head.append(self._lines())
        return self._head[0]

    def with_extensions(self, extensions: Mapping[str, str], extra: Sequence[tuple[str, str]] = ()) -> Event:
        """The same event with more attributes, or other values of those that are there."""
        return replace(self, attributes={**self.attributes, **extensions}, extra=extra, _head=[])

    def _lines(self) -> bytes:
        pairs = [(f"ce-{name}", value) for name, value in (*self.attributes.items(), *self.extra)]
        if self.content_type is not None:
            pairs.append(("content-type", self.content_type))
        if self.trace and self.tracestate is not None:
            pairs.append(("tracestate", self.tracestate))
        lines = [b"%b: %b\r\n" % (name.encode("latin-1"), _wire(value)) for name, value in pairs]
        if self.data:
            lines.append(b"content-length: %d\r\n" % len(self.data))
        return b"".join(lines)


def event_of(record: Record) -> Event:
    """The CloudEvent in a record, with its place in the topic as extensions; NotAnEventError if there is none."""
    headers: dict[str, str] = {}
    for name, value in record.headers:
        if value is None:
            raise NotAnEventError(f"the header {name} has a null value, on which the real broker loses the event")
        headers[name] = value.decode("utf-8", "replace")
    attributes = {name[3:].lower(): value for name, value in headers.items() if name.startswith("ce_")}
    event = message_event(attributes, headers.get("content-type"), record.value)
    place = {"knativekafkapartition": str(record.partition), "knativekafkaoffset": str(record.offset)}
    match = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return replace(
        event,
        attributes={**event.attributes, **place},
        trace=(match[1], match[2]) if match else None,
        tracestate=headers.get("tracestate"),
    )


def message_event(attributes: Mapping[str, str], content_type: str | None, body: bytes | None) -> Event:
    """The CloudEvent in a message of either content mode; NotAnEventError if there is none."""
    if content_type is not None and content_type.startswith(CLOUDEVENTS_TYPES):
        if content_type.split(";")[0].strip() != STRUCTURED_TYPE:
            raise NotAnEventError(f"{content_type} is not supported")
        return _structured(body)
    if "specversion" not in attributes:
        raise NotAnEventError("no CloudEvents attributes")
    plain = dict(attributes)
    content_type = plain.pop("datacontenttype", content_type)
    return Event(_checked(plain), content_type, body or None)


def record_parts(event: Event) -> tuple[bytes | None, list[tuple[str, bytes]], bytes | None]:
    """Key, headers and value of the record that carries an event, in the order that the broker writes them."""
    first = [(f"ce_{name}", event.attributes[name]) for name in _REQUIRED]
    if event.content_type is not None:
        first.append(("content-type", event.content_type))
    rest = [(f"ce_{name}", value) for name, value in event.attributes.items() if name not in _REQUIRED]
    key = event.attributes.get("partitionkey")
    headers = [(name, value.encode()) for name, value in first + rest]
    return None if key is None else key.encode(), headers, event.data


def in_utc(time: str) -> str:
    """A normalised time as filters see it."""
    match = _TIME.fullmatch(time)
    if match is None:
        return time
    day, minute, second, fraction, zone = match.groups()
    instant = datetime.fromisoformat(f"{day}T{minute}{second or ':00'}{zone}").astimezone(UTC)
    return f"{instant.replace(tzinfo=None).isoformat()}{fraction or ''}Z"


def _checked(attributes: Mapping[str, str]) -> dict[str, str]:
    missing = [name for name in _REQUIRED if name not in attributes]
    if missing:
        raise NotAnEventError(f"missing: {', '.join(missing)}")
    if attributes["specversion"] not in ("1.0", "0.3"):
        raise NotAnEventError(f"specversion {attributes['specversion']!r} is unknown")
    odd = [name for name in attributes if not _NAME.fullmatch(name)]
    if odd:
        raise NotAnEventError(f"not names of attributes: {', '.join(odd)}")
    for name in ("source", "dataschema"):
        if not _URI.fullmatch(attributes.get(name, "")):
            raise NotAnEventError(f"{name} is not a URI reference")
    names = (*_REQUIRED, *_CORE, *attributes)
    checked = {name: attributes[name] for name in names if name in attributes}
    if "time" in checked:
        checked["time"] = _normalised(checked["time"])
    return checked


def _normalised(time: str) -> str:
    match = _TIME.fullmatch(time)
    if match is None:
        raise NotAnEventError("time is not an RFC 3339 instant with zone")
    day, minute, second, fraction, zone = match.groups()
    zone = "Z" if zone in ("z", "+00:00", "-00:00") else zone
    moment = f"{day}T{minute}{second or ':00'}"
    try:
        datetime.fromisoformat(f"{moment}{zone}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise NotAnEventError("time is no moment") from error
    return f"{moment}{(fraction or '').rstrip('0').rstrip('.')}{zone}"


def _structured(body: bytes | None) -> Event:
    try:
        parsed: object = json.loads(body or b"")
    except (ValueError, RecursionError) as error:
        raise NotAnEventError("the body is not JSON") from error
    if not isinstance(parsed, dict):
        raise NotAnEventError("the body is not a JSON object")
    members = cast("dict[str, object]", parsed)
    attributes: dict[str, str] = {}
    for name, value in members.items():
        if name in ("data", "data_base64", "datacontenttype"):
            continue
        if name in _CORE and value is None:
            continue
        attributes[name] = _attribute_text(name, value)
    content_type = members.get("datacontenttype")
    if content_type is not None and not isinstance(content_type, str):
        raise NotAnEventError("datacontenttype is not text")
    data = _data(members, content_type)
    if data is not None and content_type is None:
        content_type = JSON_TYPE
    return Event(_checked(attributes), content_type, data or None)


def _attribute_text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if name in (*_REQUIRED, *_CORE) or isinstance(value, float):
        raise NotAnEventError(f"{name} has a type that it cannot have")
    return _compact(value)


def _data(members: Mapping[str, object], content_type: str | None) -> bytes | None:
    if "data_base64" in members:
        try:
            return base64.b64decode(str(members["data_base64"]), validate=True)
        except binascii.Error as error:
            raise NotAnEventError("data_base64 is not base64") from error
    if "data" not in members:
        return None
    data = members["data"]
    if isinstance(data, str) and content_type is not None and "json" not in content_type:
        return data.encode()
    return _compact(data).encode("utf-8", "replace")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _wire(value: str) -> bytes:
    # as the real one sends it: one byte per character, a question mark for each UTF-16 unit that has none
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        raw = "".join(c if c <= "\xff" else "?" if c <= "\uffff" else "??" for c in value).encode("latin-1")
    if _UNSENDABLE.search(raw):
        raise UnsendableError("a control character in an attribute")
    return raw


def header_text(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """HTTP headers by lower-case name, the last of a repeated one."""
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
