"""The pages of reference at /docs: the REST interface by what a reader wants, and the published events."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

from scripts.examples import example_of
from scripts.openapi import every_service, routes_of
from scripts.site import METHODS, cell, component, kind, operation
from services.contracts.scopes import SCOPES
from services.contracts.webhooks import EndpointTested
from services.kit.config.rates import FAILED_AUTHENTICATION, KIT_RATES, Rate
from services.kit.rest.limits import limit_of
from services.webhooks.reactions import TYPES as PROMPT

__all__ = ["GROUPS", "anchor", "events", "rest_pages"]

GROUPS: Mapping[str, tuple[str, str]] = {
    "rest-orders": ("Orders", "/orders /quotes /customers /notifications"),
    "rest-products": ("Products and stock", "/products /price-changes /stock"),
    "rest-payments": ("Payments, fulfillment and shipments", "/payments /fulfillments /shipments"),
    "rest-events": ("Events and webhooks", "/events /webhooks"),
    "rest-accounts": ("Tokens and accounts", "/token /users /password-reset /persons /.well-known"),
    "rest-access": ("Staff, API clients and audit", "/clients /staff /tokens /audit"),
    "rest-operations": ("Analytics and operations", "/analytics /operations /dead-letters"),
}
"""The pages of REST: the title, and the beginnings of the paths. A path that belongs to none is an error."""
OVERVIEW = """\
# REST interface

{description}
The [OpenAPI document](/openapi.json) has the same for tools. [Basics](basics.md) tells about the states of an order,
errors, pages of lists, the sandbox and versions.

## Requests

{requests}

## Scopes

Each request names the scope that its token needs. A token permits access to the data of its owner only, unless it
has `orders:admin` (for accounts: `users:admin`). So a program that reads the orders of all customers needs
`orders:read` and `orders:admin`; without `orders:write` it can change none.

| scope | permits to |
|---|---|
{scopes}

## Rate limits

zerocart counts the requests of each owner of a token; it counts guests, and requests without a token, by their
address. The requests of one row share a limit. A client that exceeds it gets 429 `too-often` with `Retry-After`.
Requests with `orders:admin` (for accounts: `users:admin`) are not counted. Each process counts for itself, and whoever
runs zerocart can set other limits. Other requests have no limit of their own.

| requests | at once | then one every |
|---|---|---|
{limits}
"""
EVENTS = """\
# Events

The fields of `data` for each type. [Webhooks and the event stream](programs.md) shows how a program gets events, and
what all of them have in common. A field that is “optional” is missing where it does not apply. The
[AsyncAPI document](/asyncapi.json) has the same for tools.

The fulfillment of an order consists of steps, such as `authorize_payment`. If a step fails, the steps before it are
undone. Events about a step have the fields `step`, `undo` and `attempt`.

Most events reach a webhook within a second. Those marked with “late” come together with the next other event, at the
latest after an hour. The event stream has all of them at once.
"""

Document = Mapping[str, Any]


def rest_pages(document: Document) -> Mapping[str, str]:
    """The Markdown of the overview and of each group, by the name of the page."""
    groups = {name: _operations(document, name) for name in GROUPS}
    pages = {name: "\n".join(_group(name, found, document)) for name, found in groups.items()}
    requests = "\n\n".join(
        "\n".join((f"### {GROUPS[name][0]}\n", "| request | |\n|---|---|", *(_row(name, *each) for each in found)))
        for name, found in groups.items()
    )
    overview = OVERVIEW.format(
        description=document["info"]["description"],
        requests=requests,
        scopes="\n".join(f"| `{name}` | {meaning} |" for name, meaning in SCOPES.items()),
        limits="\n".join(_limits()),
    )
    return {"rest": overview, **pages}


def _operations(document: Document, group: str) -> list[tuple[str, Document]]:
    return [
        (f"{method.upper()} {path}", operations[method])
        for path, operations in document["paths"].items()
        if group_of(path) == group
        for method in METHODS
        if method in operations
    ]


def group_of(path: str) -> str:
    """The page with the operations of a path; StopIteration if none has them."""
    first = f"/{path.split('/')[1]}"
    return next(name for name, (_, beginnings) in GROUPS.items() if first in beginnings.split())


def _row(page: str, title: str, described: Document) -> str:
    return f"| [`{title}`]({page}.md#{anchor(title)}) | {described['summary']} |"


def anchor(title: str) -> str:
    """The id of a heading, which links name."""
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


def _group(name: str, operations: list[tuple[str, Document]], document: Document) -> Iterator[str]:
    schemas: Mapping[str, Document] = document["components"]["schemas"]
    yield f"# {GROUPS[name][0]}\n\nA part of the [REST interface](rest.md). The paths begin with `/v1`.\n"
    for title, described in operations:
        yield from (line.replace("### `", "## `", 1) for line in operation(title, described))
        yield from _request_example(title, described, schemas)
        yield from _answer_example(described, schemas)
    yield "## Schemas\n"
    for schema in sorted(_used([described for _, described in operations], schemas)):
        yield from component(schema, schemas[schema])


def _used(part: object, schemas: Document) -> set[str]:
    found, wanted = set[str](), _references(part)
    while new := wanted - found:
        found |= new
        wanted = {name for each in new for name in _references(schemas[each])}
    return found


def _references(part: object) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))


def _request_example(title: str, described: Document, schemas: Document) -> Iterator[str]:
    body = _json_of(described.get("requestBody", {}))
    if body is not None:
        shown = _indented(request_example(body, schemas))
        yield f"```\n{title.replace(' /', ' /v1/', 1)}\nContent-Type: application/json\n\n{shown}\n```\n"


def request_example(media: Document, schemas: Document) -> Any:
    """A body that the request accepts: the first example of the document, or what the schema requires."""
    if "example" in media:
        return media["example"]
    if "examples" in media:
        return next(iter(media["examples"].values()))["value"]
    return example_of(media["schema"], schemas, short=True)


def _answer_example(described: Document, schemas: Document) -> Iterator[str]:
    for status, answer in sorted(described["responses"].items()):
        media = _json_of(answer)
        if status.startswith("2") and media is not None:
            shown = _indented(example_of(media["schema"], schemas))
            yield f"```\n{status} {HTTPStatus(int(status)).phrase}\n\n{shown}\n```\n"
            return


def _json_of(content: Document) -> Document | None:
    return content.get("content", {}).get("application/json")


def _indented(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)


def _limits() -> Iterator[str]:
    shared = defaultdict[tuple[str, Rate], list[str]](list)
    for service in every_service().values():
        for route in routes_of(service):
            limit = limit_of(route)
            if limit is not None:
                shared[limit.name, limit.rate] += (f"`{method} {route.path}`" for method in route.methods or ())
    for (_, rate), requests in shared.items():
        yield _limit(", ".join(requests), rate)
    yield _limit("any request without a valid token", KIT_RATES[FAILED_AUTHENTICATION])


def _limit(requests: str, rate: Rate) -> str:
    return f"| {requests} | {rate.burst} | {rate.seconds:g} s |"


def events(document: Document) -> Iterator[str]:
    """The lines of the page about the published events, by the service that publishes them."""
    yield EVENTS
    schemas: Mapping[str, Document] = document["components"]["schemas"]
    shown = set[str]()
    producer = ""
    for name, message in document["components"]["messages"].items():
        own = message["payload"]["properties"]["data"]["$ref"].rpartition("/")[2]
        shown.add(own)
        if producer != (producer := name.split(".")[1]):
            yield f"## {producer.capitalize()}\n"
        late = "" if name in PROMPT or name == EndpointTested.type else " To a webhook it comes late."
        yield f"### `{name}`\n\n{message['summary']} {message['description']}{late}\n"
        yield from _fields(schemas[own])
        yield f"```\n{_indented(example_of(schemas[own], schemas))}\n```\n"
    yield "## Schemas\n"
    for name in sorted(schemas.keys() - shown):
        yield from component(name, schemas[name])


def _fields(schema: Document) -> Iterator[str]:
    required = schema.get("required", ())
    yield "| field | type | meaning |\n|---|---|---|"
    for name, each in schema["properties"].items():
        mark = "" if name in required else " (optional)"
        yield f"| `{name}`{mark} | {kind(each)} | {cell(each['description'])} |"
    yield ""
