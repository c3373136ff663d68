"""The pages at /docs are made from the present documents and guides."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from scripts import asyncapi, openapi
from scripts.docs_pages import FOLDER, STYLE, written
from scripts.examples import example_of
from scripts.reference import group_of, request_example
from services.published import PUBLISHED
from tests.architecture.rules import ROOT

PAGES = written()
DOCUMENT = json.loads(openapi.DOCUMENT.read_text())
SCHEMAS = DOCUMENT["components"]["schemas"]
BODIES = {
    f"{method} {path}": operation["requestBody"]["content"]["application/json"]
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
    if "application/json" in operation.get("requestBody", {}).get("content", {})
}


def test_the_pages_are_made_from_the_present_documents():
    assert {file.name for file in FOLDER.iterdir()} == {*PAGES, STYLE}
    assert [name for name, text in PAGES.items() if (FOLDER / name).read_text() != text] == [], "run `make openapi`"


def test_text_of_a_description_is_never_html():
    assert "&lt;em&gt;" in PAGES["rest-orders.html"]
    assert "<em>`" not in PAGES["rest-orders.html"]


def test_reference_to_a_document_that_the_edge_does_not_serve_is_left_out():
    assert "0028" in (ROOT / "docs/staff.md").read_text()
    assert "0028" not in PAGES["staff.html"]
    assert [name for name, text in PAGES.items() if "docs/" in re.sub("/docs/", "", text)] == []


def test_every_link_between_the_pages_has_a_target():
    anchors = {(name, anchor) for name, text in PAGES.items() for anchor in re.findall(r' id="([^"]+)"', text)}
    links = {
        (name, page or name, anchor)
        for name, text in PAGES.items()
        for page, anchor in re.findall(r'href="(?:/docs/([a-z-]+\.html))?(?:#([^"]+))?"', text)
    }
    dead = [link for link in links if link[1] not in PAGES or (link[2] and link[1:] not in anchors)]
    assert dead == []


@pytest.mark.parametrize("operation", BODIES)
def test_example_of_a_request_fits_its_schema(operation):
    media = BODIES[operation]
    jsonschema.Draft202012Validator({**media["schema"], "components": {"schemas": SCHEMAS}}).validate(
        request_example(media, SCHEMAS)
    )


def test_examples_of_events_fit_their_schemas():
    schemas = json.loads(asyncapi.DOCUMENT.read_text())["components"]["schemas"]
    for name, schema in schemas.items():
        whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
        jsonschema.Draft202012Validator(whole).validate(example_of(schema, schemas))


def test_a_page_has_each_operation_and_each_event():
    for path, operations in DOCUMENT["paths"].items():
        for method in operations:
            assert f"<code>{method.upper()} {path}</code></h2>" in PAGES[f"{group_of(path)}.html"]
    assert "<code>on_<wbr>hold</code></td>" in PAGES["basics.html"]  # narrow screens broke words
    assert [name for name in PUBLISHED if f"<code>{name}</code></h3>" not in PAGES["events.html"]] == []


def test_each_error_code_of_the_guide_is_one_of_the_services():
    section = (ROOT / "docs/basics.md").read_text().partition("## Errors")[2].partition("\n## ")[0]
    codes = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)*)`", section)) - {"code", "detail", "errors", "totals"}
    code = "".join(file.read_text() for file in Path(ROOT / "services").rglob("*.py"))
    assert len(codes) > 25
    assert [each for each in codes if f'"{each}"' not in code] == []
