"""The pages at /docs are made from the present documents and guides."""

from __future__ import annotations

from scripts.docs_pages import FOLDER, STYLE, written


def test_the_pages_are_made_from_the_present_documents():
    pages = written()
    assert {file.name for file in FOLDER.iterdir()} == {*pages, STYLE}
    assert [name for name, text in pages.items() if (FOLDER / name).read_text() != text] == [], "run `make openapi`"


def test_text_of_a_description_is_never_html():
    page = written()["rest.html"]
    assert "&lt;em&gt;" in page
    assert "<em>`" not in page


def test_link_to_a_document_that_the_edge_does_not_serve_becomes_text():
    pages = written()
    assert "(0028)" in pages["staff.html"]
    assert [name for name, text in pages.items() if 'href="/docs/index.html' in text.partition("<main")[2]] == []
    assert '<a href="/docs/front-end.html">shop</a>' in pages["programs.html"]
