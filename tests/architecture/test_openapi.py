"""The document of the REST interface is current, has every route of the edge, and describes each part."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from scripts.openapi import DOCUMENT, every_service, merged, routes_of, written
from tests.architecture.test_edge import of_the_caddyfile, servers_routes, upstream
from tests.services.test_access import PUBLIC_ROUTES, SCOPES

WITHOUT_KEY = {
    # twice is as once, or the request has a name of its own
    "POST /products/imports",
    "POST /orders/imports",
    "POST /orders/{order_id}/edits/preview",
    "POST /quotes",
    "POST /orders/imports/undo",
    "DELETE /persons/{person_id}",
    "DELETE /tokens/{subject}",
    "DELETE /webhooks/{endpoint_id}",
    "POST /webhooks/{endpoint_id}/redeliver",
    "POST /webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver",
    "POST /payments/webhooks/stripe",
    # what a key answered would tell whether there is an account
    "POST /orders/lookup",
    "POST /password-reset",
    "POST /token",
    # hands in what was said before, which is done once however often it is handed in
    "POST /dead-letters/replay",
    "POST /dead-letters/{letter_id}/replay",
    "POST /dead-letters/{letter_id}/discard",
    "POST /operations/parked/replay",
}
NO_LIMITS = (True, {})


@cache
def document() -> dict[str, Any]:
    return json.loads(DOCUMENT.read_text())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def led_to(method: str, path: str, query: set[str]) -> str | None:
    """The service that the edge sends a request to."""
    for route in servers_routes():
        for match in route.get("match", ()):
            fits = any(fnmatchcase(path, pattern) for pattern in match.get("path", ()))
            if fits and method in match.get("method", [method]) and set(match.get("query", ())) <= query:
                return upstream(route)
    return None


def test_the_document_is_made_from_the_present_code():
    assert DOCUMENT.read_text() == written(), "run `make openapi`"


def test_the_document_has_the_routes_of_the_edge():
    led: set[str] = set()
    for service, app in every_service().items():
        for route in routes_of(app):
            path = re.sub(r"\{\w+\}", "x", route.path)
            query = {field.alias for field in route.dependant.query_params if field.field_info.is_required()}
            led |= {
                f"{method} {route.path}" for method in route.methods or () if led_to(method, path, query) == service
            }
    assert {name for name, _ in operations()} == led


def test_the_edge_routes_only_to_existing_routes():
    paths = [re.sub(r"\{\w+\}", "x", path) for path in document()["paths"]]
    assert not [match for match in of_the_caddyfile() if not any(fnmatchcase(path, match[2]) for path in paths)]


def test_each_operation_has_a_summary_a_description_and_a_scope():
    found = {name: operation["operationId"] for name, operation in operations()}
    assert len(set(found.values())) == len(found)
    for name, operation in operations():
        about, *_, needs = operation["description"].split("\n\n")
        assert re.fullmatch(r"[A-Z].*\.", about.replace("\n", " ")), name
        scope = SCOPES.get(name)
        assert operation["security"] == ([{"token": [scope]}] if scope else []), name
        assert needs == (f"Scope: `{scope}`." if scope else "No token is needed."), name
        assert scope or name in PUBLIC_ROUTES
        assert 3 <= len(operation["summary"].split()) <= 6, name
        assert not operation["summary"].istitle(), f"{name}: its summary is made of the function's name"
        assert operation["tags"][0] in {tag["name"] for tag in document()["tags"]}


def test_each_parameter_has_a_description_and_an_example():
    parameters = [(name, each) for name, operation in operations() for each in operation["parameters"]]
    for name, each in parameters:
        about = f"{name}: {each['name']}"
        assert re.fullmatch(r"[`A-Z].*[.`]", each["description"]), about
        for example in [each["example"]] if "example" in each else each["schema"]["examples"]:
            Draft202012Validator(each["schema"], format_checker=FormatChecker()).validate(example)
    assert any(each["name"] == "at" and not each["required"] for name, each in parameters if "{order_id}" in name)


def test_each_command_declares_the_headers_that_it_reads():
    headers = {
        name: {each["name"] for each in operation["parameters"] if each["in"] == "header"}
        for name, operation in operations()
    }
    for name, read in headers.items():
        command = not name.startswith("GET ")
        assert ("Idempotency-Key" in read) is (command and name not in WITHOUT_KEY), name
    conditional = {name for name, read in headers.items() if "If-Match" in read}
    assert {"PATCH /orders/{order_id}", "PUT /users/{user_id}/preferences", "DELETE /users/{user_id}"} <= conditional
    assert all(
        each["required"] is False for _, op in operations() for each in op["parameters"] if each["in"] == "header"
    )


def test_each_answer_has_a_closed_schema():
    for name, operation in operations():
        assert {"4XX", "5XX"} <= operation["responses"].keys()
        for status, answer in operation["responses"].items():
            assert answer["description"] not in ("", "Successful Response") or status == "204", name
            assert ("content" in answer) is (status != "204"), name
            for kind, content in answer.get("content", {}).items():
                assert content["schema"] not in NO_LIMITS, name
                if status.startswith("2") and kind == "application/json":
                    found = resolved(content["schema"])
                    assert found["type"] == "object", name
                    assert found.get("additionalProperties") is False, name


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    return document()["components"]["schemas"][schema["$ref"].removeprefix("#/components/schemas/")]


def test_schemas_have_unique_names_and_references_resolve():
    schemas = document()["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    referred = set(re.findall(r'"#/components/schemas/([^"]+)"', DOCUMENT.read_text()))
    assert referred == schemas.keys()


def test_a_name_for_two_schemas_is_refused():
    one, other = ({"paths": {}, "components": {"schemas": {"A": {"type": kind}}}} for kind in ("string", "integer"))
    assert merged({"orders": one, "query": one})
    with pytest.raises(ValueError, match="A"):
        merged({"orders": one, "query": other})


def test_the_document_says_where_it_is_served():
    assert document()["servers"] == [{"url": "/v1", "description": "The edge that serves this document."}]
    own = {name: operation["servers"][0]["url"] for name, operation in operations() if "servers" in operation}
    assert own == {"GET /.well-known/jwks.json": "/"}


def test_each_answer_comes_in_one_media_type():
    answers = [(name, answer) for name, operation in operations() for answer in operation["responses"].values()]
    assert [name for name, answer in answers if len(answer.get("content", {})) > 1] == []


def test_each_default_is_a_valid_value():
    with_default = list(schemas_with_default(document()))
    assert len(with_default) > 10
    for schema in with_default:
        whole = {"components": document()["components"], **schema}
        assert Draft202012Validator(whole).is_valid(schema["default"]), schema


def schemas_with_default(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if "default" in part and ({"type", "anyOf", "$ref", "enum"} & set(part)):
            yield part
        for value in part.values():
            yield from schemas_with_default(value)
    elif isinstance(part, list):
        for value in part:
            yield from schemas_with_default(value)


def test_no_schema_has_the_name_that_generators_give_to_an_enum_of_a_field():
    """openapi-python-client leaves out a model whose enum gets a name that exists."""
    schemas = document()["components"]["schemas"]
    enums = {
        f"{name}{field.title().replace('_', '')}"
        for name, schema in schemas.items()
        for field, value in schema.get("properties", {}).items()
        if '"enum"' in json.dumps(value)
    }
    assert len(enums) > 5
    assert enums & set(schemas) == set()
