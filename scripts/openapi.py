"""Makes the OpenAPI document of all routes that clients can reach through the edge, from the code of the services.

`python -m scripts.openapi` writes docker/edge/openapi.json, which the edge serves. The only route of the projection in
it is `GET /orders/{order_id}?at=`, because the edge does not route to the others.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from services.databases import GRANTS
from services.folders import SERVICES
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.events.kafka import KafkaPublisher
from services.kit.events.parked import MemoryFailedMessages
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.rest.app import HEADERS
from services.kit.rest.openapi import JSON, describe_answer, summary_and_description
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.kit.wire.asgi import VERSION
from services.payments.settings import PaymentsSettings
from services.users.settings import UsersSettings
from tools.knative_local.secrets import signing_key

__all__ = [
    "DOCUMENT", "LICENSE", "ROOT", "document_of", "every_service", "merged", "public", "routes_of",
    "version_of_project", "written",
]  # fmt: skip

OWN: Mapping[str, object] = {
    "payments": PaymentsSettings(provider="stripe", stripe_key=plain("-"), stripe_webhook_secrets=plain("-")),
    "users": UsersSettings(signing_keys=plain(signing_key())),
}
"""Settings that give each service all routes that it can have."""
ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docker" / "edge" / "openapi.json"
INTERNAL = "/projection/"
SUMMARY = "Order management: accounts, orders, stock, payments, shipments, fulfillment and analytics."
ABOUT = """\
- **Errors** are `application/problem+json` (RFC 9457). `code` is stable and for programs; `errors` names the wrong \
fields. 429 and 503 have a `Retry-After`: wait for this time, then send the request again.
- **Commands** accept an `Idempotency-Key`: a repeat with the same key changes nothing and gets the first answer. \
The answer has a `position`; a query with this `position` waits until its data contains the command.
- **Money** is exact: `{"amount": "12.50", "currency": "GBP"}`, the amount as text. **Instants** are RFC 3339 with zone.
- Unknown query parameters and unknown fields of bodies are refused (422), bodies above 1 MB too (413; accounts: 16 kB).
"""
NAMED = re.compile(r"[A-Z][A-Za-z]+")

Document = dict[str, Any]


def every_service() -> dict[str, Service]:
    """All services by name, with every optional route, and without a connection."""
    return {name: _service(name) for name in SERVICES}


def _service(name: str) -> Service:
    settings = Settings(service=name)
    create_app = import_module(f"services.{name}.app").create_app
    if not GRANTS[name].history:
        return create_app(settings)
    publisher = KafkaPublisher("", settings.topic)  # it never publishes, so it never connects
    host = Host.of(settings, MemoryEventStore(name), publisher, MemoryFailedMessages(name), MemoryVault())
    return create_app(host, **({"settings": OWN[name]} if name in OWN else {}))


def routes_of(service: Service) -> list[APIRoute]:
    """The routes of a service."""
    return [route for route in service.rest().routes if isinstance(route, APIRoute)]


def document_of(name: str, service: Service) -> Document:
    """The document of one service, with the headers that its routes read."""
    document = service.rest().openapi()
    for route in routes_of(service):
        headers = [
            {"in": "header", "required": False, **header}
            for dependency in _dependencies(route.dependant)
            if (header := HEADERS.get(dependency))
        ]
        for method in route.methods or ():
            operation: dict[str, Any] = document["paths"][route.path][method.lower()]
            operation["tags"] = [name]
            for schema, described in describe_answer(route, operation).items():
                _put(document.setdefault("components", {}).setdefault("schemas", {}), schema, described)
            summary, description = summary_and_description(route)
            if description:
                operation["summary"], operation["description"] = summary, description
            operation["parameters"] = [*map(_without_repetition, operation.get("parameters", ())), *headers]
            operation["description"] = _described(operation)
            operation.setdefault("security", [])  # else clients cannot tell that no token is needed
    return document


def _dependencies(dependant: Dependant) -> Iterator[object]:
    for one in dependant.dependencies:
        yield one.call
        yield from _dependencies(one)


def _without_repetition(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """The parameter without the title and description that FastAPI repeats in its schema."""
    schema = {name: value for name, value in parameter["schema"].items() if name not in ("title", "description")}
    return {**parameter, "schema": schema}


def _described(operation: Mapping[str, Any]) -> str:
    scopes = [scope for each in operation.get("security", ()) for scope in each["token"]]
    needed = f"Scope: `{scopes[0]}`." if scopes else "No token is needed."
    return f"{operation.get('description', '')}\n\n{needed}".strip()


def merged(documents: Mapping[str, Document]) -> Document:
    """One document made of several; ValueError if two use a name for different schemas.

    If two have the same operation, the result has the one that requires fewer parameters, and the others are optional.
    """
    paths: dict[str, dict[str, Any]] = {}
    components: dict[str, dict[str, Any]] = {}
    for document in documents.values():
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                known = paths.setdefault(path, {}).get(method)
                paths[path][method] = _either(known, operation) if known else operation
        for kind, named in document.get("components", {}).items():
            for name, thing in named.items():
                _put(components.setdefault(kind, {}), name, thing)
    if "securitySchemes" in components:
        components["securitySchemes"]["token"]["description"] = TOKENS
    schemas = components.setdefault("schemas", {})
    for operations in paths.values():
        for operation in operations.values():
            operation["responses"] = _by_name(operation["responses"], schemas)
    tags = [{"name": name, "description": import_module(f"services.{name}").__doc__} for name in documents]
    info = {
        "title": "zerocart",
        "version": version_of_project(),
        "summary": SUMMARY,
        "description": ABOUT,
        "license": LICENSE,
    }
    return {
        "openapi": "3.1.0",
        "info": info,
        "servers": SERVERS,
        "tags": tags,
        "paths": paths,
        "components": components,
    }


SERVERS = [{"url": VERSION, "description": "The edge that serves this document."}]
UNVERSIONED = [{"url": "/", "description": "The edge; this address is the same in all versions (RFC 8615)."}]


TOKENS = """\
An access token, from `POST /token` or from an issuer that this installation trusts. Each operation names the scope \
that the token needs. A scope permits access to the caller's own data. With `users:admin` it permits access to the \
accounts of all users, with `orders:admin` to all other data."""
LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def version_of_project() -> str:
    """The version of this release."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def _needs(operation: Mapping[str, Any]) -> int:
    return sum(parameter["required"] for parameter in operation["parameters"])


def _either(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    less, more = sorted((one, other), key=_needs)
    known = {(parameter["in"], parameter["name"]) for parameter in less["parameters"]}
    added = [each for each in more["parameters"] if (each["in"], each["name"]) not in known]
    return {**less, "parameters": [*less["parameters"], *({**each, "required": False} for each in added)]}


def _by_name(part: Any, schemas: dict[str, Any]) -> Any:
    """The part with a reference in the place of every named object, whose schema is added to `schemas`."""
    if isinstance(part, list):
        return [_by_name(each, schemas) for each in cast("list[Any]", part)]
    if not isinstance(part, dict):
        return part
    members = {name: _by_name(value, schemas) for name, value in cast("dict[str, Any]", part).items()}
    name = members.get("title")
    if members.get("type") != "object" or not isinstance(name, str) or not NAMED.fullmatch(name):
        return members
    _put(schemas, name, members)
    return {"$ref": f"#/components/schemas/{name}"}


def _put(named: dict[str, Any], name: str, thing: Any) -> None:
    if named.setdefault(name, thing) != thing:
        raise ValueError(f"two schemas have the name {name}: rename one of the classes")


def public(document: Document) -> Document:
    """The document without the routes that only services call."""
    paths = {path: document["paths"][path] for path in sorted(document["paths"]) if not path.startswith(INTERNAL)}
    used = {tag for operations in paths.values() for operation in operations.values() for tag in operation["tags"]}
    tags = [tag for tag in document["tags"] if tag["name"] in used]
    schemas: dict[str, Any] = document["components"]["schemas"]
    for operations in paths.values():
        for operation in operations.values():
            _answer_in_one_type(operation)
    paths = {path: _anywhere(path, item) for path, item in paths.items()}
    named = {name: _without_limits(schemas[name]) for name in sorted(_named_in(paths, schemas))}
    return {**document, "tags": tags, "paths": paths, "components": {**document["components"], "schemas": named}}


LIMITS = frozenset({"gt", "ge", "lt", "le", "max_digits", "decimal_places"})
"""Keywords that Pydantic leaves in the schema of an optional Decimal, although JSON Schema does not define them."""


def _without_limits(part: Any) -> Any:
    if isinstance(part, list):
        return [*map(_without_limits, cast("list[Any]", part))]
    if not isinstance(part, dict):
        return part
    members = cast("dict[str, Any]", part).items()
    return {name: _without_limits(value) for name, value in members if name not in LIMITS or isinstance(value, dict)}


def _anywhere(path: str, operations: Mapping[str, Any]) -> dict[str, Any]:
    """The operations of a path; each names its server if the path has no version."""
    if not path.startswith("/.well-known/"):
        return dict(operations)
    return {method: {**operation, "servers": UNVERSIONED} for method, operation in operations.items()}


def _answer_in_one_type(operation: Mapping[str, Any]) -> None:
    """Leave to the description that an answer in JSON also comes as CSV: a client made of both has a vague type."""
    for answer in operation["responses"].values():
        if JSON in answer.get("content", {}):
            answer["content"] = {JSON: answer["content"][JSON]}


def _named_in(part: object, schemas: Mapping[str, Any]) -> set[str]:
    """The names of the schemas that a part of a document refers to, directly or through others."""
    found: set[str] = set()
    wanted = _references(part)
    while new := wanted - found:
        found |= new
        wanted = {name for each in new for name in _references(schemas[each])}
    return found


def _references(part: object) -> set[str]:
    return set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(part)))


def written() -> str:
    """The text of the file: the public document."""
    document = public(merged({name: document_of(name, service) for name, service in every_service().items()}))
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the file, that of the events, and the pages that are made of both."""
    from scripts import asyncapi, docs_pages

    DOCUMENT.write_text(written())
    asyncapi.DOCUMENT.write_text(asyncapi.written())
    docs_pages.write()


if __name__ == "__main__":
    main()
