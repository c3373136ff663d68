"""Writes docker/edge/asyncapi.json: the events that other programs get, as an AsyncAPI 3 document.

It is made from the contracts. `make openapi` writes it beside the OpenAPI document, and the edge serves both.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from scripts.event_fields import meaning_of
from scripts.openapi import LICENSE, ROOT, version_of_project
from services.kit.domain.message import Message, Value
from services.kit.privacy.encryption import personal_fields
from services.kit.wire.asgi import VERSION
from services.published import HIDDEN, PUBLISHED, scopes_of

__all__ = ["DOCUMENT", "written"]

DOCUMENT = ROOT / "docker" / "edge" / "asyncapi.json"
ABOUT = """\
What happened in the shop, as CloudEvents 1.0 in JSON: an order was placed, a payment was captured, the stock changed. \
A program follows the event stream (`GET /events`), or registers a URL as a webhook (`POST /webhooks`). Events have no \
personal data. Fields may be added to `data`; a field that exists never changes its meaning. The guide \
`/docs/programs.html` shows both ways step by step."""
STREAM = """\
Server-Sent Events with the header `Accept: text/event-stream`, or pages in JSON without it. The id of each \
Server-Sent Event is its position: a client that connects again sends the last one as `Last-Event-ID`."""
WEBHOOK = """\
The URL that a program registered with `POST /webhooks` gets each message with `POST`, signed by Standard Webhooks, at \
least once and in no order. An answer with 2xx within 10 seconds accepts it."""
HEADERS: Mapping[str, Any] = {
    "type": "object",
    "description": "Only messages to a webhook have these headers, by which its library verifies them.",
    "properties": {
        "webhook-id": {"type": "string", "description": "The same each time that the message is sent."},
        "webhook-timestamp": {"type": "string", "description": "When it was sent, in seconds since 1970."},
        "webhook-signature": {"type": "string", "description": "The signatures, with a space between them."},
    },
}
ENVELOPE: Mapping[str, Any] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "description": "The identity of the event. Ignore an id that you have handled."},
    "source": {"type": "string", "examples": ["/zerocart/orders"]},
    "subject": {"type": "string", "description": "The id of what the event is about."},
    "time": {"type": "string", "format": "date-time"},
    "datacontenttype": {"const": "application/json"},
    "position": {
        "type": "string",
        "pattern": "^[0-9a-f]{16}$",
        "description": "The place of the event in the order of all events.",
    },
}

Schema = dict[str, Any]


def written() -> str:
    """The text of the file."""
    return json.dumps(_document(), indent=1, ensure_ascii=False) + "\n"


def _document() -> dict[str, Any]:
    named, references = _schemas()
    messages = {model.type: _message(model, references[model]) for model in PUBLISHED.values()}
    refs = {type_: {"$ref": f"#/components/messages/{type_}"} for type_ in messages}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "zerocart events",
            "version": version_of_project(),
            "description": ABOUT,
            "license": {"name": LICENSE["name"], "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": "localhost:8080",
                "pathname": VERSION,
                "protocol": "http",
                "description": "The edge of a local cluster. Yours has the address of your installation.",
            }
        },
        "channels": {
            "events": {
                "address": "/events", "title": "The event stream", "description": STREAM,
                "servers": [{"$ref": "#/servers/edge"}], "messages": refs,
            },
            "webhook": {"address": None, "title": "A webhook", "description": WEBHOOK, "messages": refs},
        },
        "operations": {
            "streamEvents": _operation("events", "GET", "Send the events to a client that reads them."),
            "sendWebhook": _operation("webhook", "POST", "Send each event to the URL of an endpoint."),
        },
        "components": {"schemas": named, "messages": messages},
    }  # fmt: skip


def _operation(channel: str, method: str, summary: str) -> dict[str, Any]:
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "bindings": {"http": {"method": method, "bindingVersion": "0.3.0"}},
    }


def _message(model: type[Message], data: Schema) -> dict[str, Any]:
    scopes = ", ".join(f"`{each}`" for each in ("events:read", *sorted(scopes_of(model.type))))
    summary, _, more = inspect.cleandoc(model.__doc__ or "").partition("\n")
    properties = {**ENVELOPE, "type": {"const": model.type}, "data": data}
    return {
        "name": model.type,
        "title": model.__name__,
        "summary": summary,
        "description": f"{more.strip()}\n\nScopes: {scopes}.".strip(),
        "headers": HEADERS,
        "payload": {"type": "object", "properties": properties, "required": [*properties]},
    }


def _schemas() -> tuple[dict[str, Schema], Mapping[type[Message], Schema]]:
    """The schemas by name, and the reference to that of each published model."""
    models = [*PUBLISHED.values()]
    found, whole = models_json_schema(
        [(model, "serialization") for model in models], ref_template="#/components/schemas/{model}"
    )
    values = _values(Value)
    named = {
        name: _shown(values[name], schema) if name in values else schema for name, schema in whole["$defs"].items()
    }
    return named, {model: found[model, "serialization"] for model in models}


def _values(of: type[BaseModel]) -> dict[str, type[Value]]:
    return {
        name: model
        for each in cast("list[type[Value]]", of.__subclasses__())
        for name, model in {each.__name__: each, **_values(each)}.items()
    }


def _shown(model: type[Value], schema: Schema) -> Schema:
    """The schema without what is hidden; only what every event has is required, and later releases may add more."""
    hidden = personal_fields(model).own.keys() | HIDDEN
    kept = {
        name: {**value, "description": meaning_of(model.__name__, name)}
        for name, value in schema.get("properties", {}).items()
        if name not in hidden
    }
    required = [name for name in kept if model.model_fields[name].is_required()]
    more = {
        name: value for name, value in schema.items() if name not in ("properties", "required", "additionalProperties")
    }
    return {**more, "properties": kept, **({"required": required} if required else {})}
