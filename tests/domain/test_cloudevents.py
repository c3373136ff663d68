"""The events that are read and refused, by the rules of CloudEvents 1.0.2 and RFC 3339, in both content modes."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from services.kit.domain.errors import Invalid
from services.kit.wire.cloudevents import Incoming, read_event

EVENT = {
    "specversion": "1.0", "id": "order-1:1", "source": "/zerocart/orders", "type": "zerocart.orders.order.created.v1",
    "time": "2018-04-05T17:31:00Z", "subject": "ord_1", "datacontenttype": "application/json", "dataschema": "urn:zerocart:schema:x",
}  # fmt: skip
DATA = {"order_id": "ord_1"}
STRUCTURED = "application/cloudevents+json"
ABSENT = object()


def binary(changes: dict[str, Any]) -> Incoming:
    attributes: dict[str, Any] = {**EVENT, **changes}
    content_type = attributes.pop("datacontenttype")
    headers = [(f"ce-{name}", value) for name, value in attributes.items()] + [("content-type", content_type)]
    sent = [(name.lower().encode(), str(value).encode()) for name, value in headers if value is not ABSENT]
    return read_event(sent, json.dumps(DATA).encode())


def structured(changes: dict[str, Any], content_type: str = STRUCTURED, **headers: str) -> Incoming:
    members = {name: value for name, value in {**EVENT, "data": DATA, **changes}.items() if value is not ABSENT}
    sent = [(b"content-type", content_type.encode())]
    sent += [(f"ce-{name}".encode(), value.encode()) for name, value in headers.items()]
    return read_event(sent, json.dumps(members).encode())


REFUSED: dict[str, dict[str, Any]] = {
    # 2.4 required attributes: there, and not empty
    **{f"no {name}": {name: ABSENT} for name in ("specversion", "id", "source", "type", "time")},
    **{f"an empty {name}": {name: ""} for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema", "datacontenttype")},
    **{f"specversion {version}": {"specversion": version} for version in ("1", "0.3", "1.1", "2.0", "1.0.2", " 1.0")},
    # 2.4.2 and 2.5: a URI reference, and a URI
    **{f"the source {source}": {"source": source} for source in ("a b", "<x>", 'a"b', "a{b}", "a|b", "a\\b", "a^b", "a`b")},
    **{f"the dataschema {schema}": {"dataschema": schema} for schema in ("/relative", "no-scheme", "1a:b", ":x", "urn:a b")},
    # 2.3 names: lower-case letters and digits, and not `data`
    **{f"the name {name!r}": {name: "x"} for name in ("my-ext", "my_ext", "my.ext", "", "ext ", "é", "x" * 65)},
    # RFC 3339, section 5.6
    **{
        f"the time {time}": {"time": time}
        for time in (
            "2018-04-05T18:31Z", "2018-04-05T18Z", "2018-04-05", "18:31:00Z", "2018-04-05T18:31:00", "2018-04-05 18:31:00Z",
            "2018-04-05T18:31:00+05", "2018-04-05T18:31:00+0500", "2018-04-05T18:31:00+5:00", "2018-04-05T18:31:00+24:00",
            "2018-04-05T18:31:00+05:60", "2018-04-05T18:31:00 +05:00", "2018-04-05T18:31:00ZZ", "2018-04-05T18:31:00.Z",
            "2018-04-05T18:31:00,5Z", "2018-04-05T24:00:00Z", "2018-04-05T18:60:00Z", "2018-04-05T18:31:61Z", "2018-02-30T00:00:00Z",
            "2018-13-01T00:00:00Z", "2018-00-01T00:00:00Z", "2018-4-5T18:31:00Z", "18-04-05T18:31:00Z", "+2018-04-05T18:31:00Z",
            "20180405T183100Z", "2018-W14-4T18:31:00Z", "2018-095T18:31:00Z", "1522953060", "now", "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00",
        )
    },
    "an expirytime that is no instant": {"expirytime": "2018-04-05T18:31Z"},
    "another type of data": {"datacontenttype": "application/xml"},
    # what Knative's Kafka broker does not carry
    "a percent sign": {"subject": "a%20b"},
    "a long attribute": {"subject": "x" * 4_097},
}  # fmt: skip
ACCEPTED: dict[str, dict[str, Any]] = {
    "all attributes": {},
    "only what is required": {"subject": ABSENT, "dataschema": ABSENT},
    **{f"the source {source}": {"source": source} for source in ("/x", "x", "urn:a:b", "https://a.example/b?c=d#e", "mailto:a@b.example", "?q", "#f")},
    "an extension": {"comexampleextension1": "value", "x1": "1", "data1": "x"},
    "an empty extension": {"partitionkey": ""},
    "a parameter of the media type": {"datacontenttype": "application/json; charset=utf-8"},
    "a media type in capitals": {"datacontenttype": "Application/JSON"},
    **{
        f"the time {time}": {"time": time}
        for time in (
            "2018-04-05t17:31:00z", "2018-04-05T17:31:00.000000000Z", "2018-04-05T17:31:00.0Z", "2018-04-05T17:31:00-00:00",
            "2018-04-05T22:31:00+05:00", "2018-04-05T23:16:00+05:45", "2018-04-04T17:32:00-23:59", "2018-04-06T17:30:00+23:59",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("read", [binary, structured])
@pytest.mark.parametrize("name", REFUSED)
def test_what_the_specification_forbids_is_refused(read, name):
    with pytest.raises(Invalid):
        read(REFUSED[name])


@pytest.mark.parametrize("read", [binary, structured])
@pytest.mark.parametrize("name", ACCEPTED)
def test_what_the_specification_allows_is_read(read, name):
    event = read(ACCEPTED[name])
    assert (event.id, event.type, json.loads(event.data)) == (EVENT["id"], EVENT["type"], DATA)
    assert event.time == datetime(2018, 4, 5, 17, 31, tzinfo=UTC)
    for attribute, value in ACCEPTED[name].items():
        assert event.attributes.get(attribute, ABSENT) == value or attribute == "datacontenttype"


STRUCTURED_REFUSED: dict[str, dict[str, Any]] = {
    **{f"{name} is null": {name: None} for name in ("specversion", "id", "source", "type", "time")},
    **{f"{name} is a number": {name: 1} for name in ("specversion", "id", "source", "type", "time", "subject", "dataschema")},
    "specversion is 1.0 as a number": {"specversion": 1.0},
    "subject is true": {"subject": True},
    **{f"an extension is {value}": {"x": value} for value in (1.5, [], {}, ["a"], 2**31, -(2**31) - 1, 1e300)},
    "data twice": {"data_base64": "e30="},
    "data_base64 is no base64": {"data": ABSENT, "data_base64": "e30"},
    "data_base64 is no text": {"data": ABSENT, "data_base64": 1},
    **{f"the name {name}": {name: "x"} for name in ("ID", "Source", "myExt", "datA")},
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURED_REFUSED)
def test_what_the_json_format_forbids_is_refused(name):
    with pytest.raises(Invalid):
        structured(STRUCTURED_REFUSED[name])


def test_an_optional_attribute_that_is_null_is_absent():
    event = structured(
        {"subject": None, "dataschema": None, "datacontenttype": None, "myext": None, "data_base64": None}
    )
    assert event.subject == ""
    assert not {"subject", "dataschema", "datacontenttype", "myext", "data_base64"} & event.attributes.keys()


def test_attributes_of_every_type_become_texts():
    event = structured({"n": 7, "least": -(2**31), "yes": True, "no": False})
    assert [event.attributes[name] for name in ("n", "least", "yes", "no")] == ["7", "-2147483648", "true", "false"]


def test_data_in_base64_is_read_and_repeats_are_recognised():
    event = structured({"data": ABSENT, "data_base64": base64.b64encode(json.dumps(DATA).encode()).decode()})
    assert json.loads(event.data) == DATA
    assert event.key == binary({}).key == structured({}).key


BODIES = [
    b"", b"[]", b"1", b"null", b"{", b"\xff", b"\xef\xbb\xbf{}", b"[{}]", b'{"specversion":"1.0","specversion":"1.0"}', b"[" * 100_000,
    json.dumps({**EVENT, "data": DATA}).encode("utf-16"), json.dumps({**EVENT, "data": {"a": "\0"}}).encode(),
    json.dumps({**EVENT, "data": DATA})[:-1].encode() + b',"x":NaN}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_a_structured_event_is_one_object_of_strict_json(body):
    with pytest.raises(Invalid):
        read_event([(b"content-type", STRUCTURED.encode())], body)


@pytest.mark.parametrize(
    "content_type",
    ["application/cloudevents-batch+json", "application/cloudevents+avro", "application/cloudevents", f"{STRUCTURED}; charset=utf-16"],
)  # fmt: skip
def test_other_content_modes_and_encodings_are_refused(content_type):
    with pytest.raises(Invalid):
        structured({}, content_type)


def test_headers_beside_a_structured_event_may_only_repeat_it():
    assert structured({}, f"{STRUCTURED.upper()}; charset=UTF-8", id=EVENT["id"], type=EVENT["type"])
    assert structured({}, knativekafkapartition="3", knativekafkaoffset="77")
    for headers in ({"id": "other"}, {"myext": "x"}):
        with pytest.raises(Invalid):
            structured({}, **headers)


def test_headers_of_a_binary_event_are_ascii_and_occur_once():
    good = [(f"ce-{name}".encode(), value.encode()) for name, value in EVENT.items() if name != "datacontenttype"]
    good.append((b"content-type", b"application/json"))
    assert read_event(good, b"{}")
    for wrong in (
        (b"ce-id", b"order-1:1"),
        (b"ce-x", "é".encode()),
        (b"ce-datacontenttype", b"application/json"),
        (b"ce-data", b"x"),
    ):
        with pytest.raises(Invalid):
            read_event([*good, wrong], b"{}")
