"""Writes docker/edge/docs: the pages that the edge serves at /docs, without a script and without another server.

They are the guides for people who write programs, and the references of REST and events, made from the two documents.
`make openapi` writes them.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from markdown_it import MarkdownIt
from markdown_it.token import Token

from scripts import asyncapi, openapi
from scripts.reference import GROUPS, anchor, events, rest_pages

__all__ = ["FOLDER", "write", "written"]

FOLDER = openapi.DOCUMENT.parent / "docs"
STYLE = "style.css"
"""The only file of the folder that is written by hand."""
TITLES: Mapping[str, str] = {
    "index": "Documentation",
    "basics": "Basics",
    "programs": "Webhooks and the event stream",
    "front-end": "A shop front end",
    "staff": "Staff actions on orders",
    "rest": "REST interface",
    "events": "Events",
}
GUIDES = ("basics", "programs", "front-end", "staff")
INDEX = openapi.ROOT / "scripts" / "docs_index.txt"
"""The first page, in Markdown whose links are those of /docs."""
REFERENCE = re.compile(r"\s\(\[[^\]]*\]\(([\w/-]+)\.md[^)]*\)\)")
SERVED = re.compile(r"/docs/([a-z-]+)\.html")
CELL = re.compile(r"<td.*?</td>", re.DOTALL)
CODE = re.compile(r"(?<=<code>)[^<]+")
WORD_END = re.compile(r"(?<=[/_.-])(?=[\w{])")
ATTRIBUTES = re.compile(r"^(#+ .+?) \{ #([\w-]+)[^}]*\}$")
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · zerocart</title>
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header><nav aria-label="Pages">{menu}</nav></header>
<div class="page">
<nav class="contents" aria-label="On this page">{contents}</nav>
<main id="content">
{body}</main>
</div>
</body>
</html>
"""


def write() -> None:
    """Write the pages of /docs into docker/edge/docs."""
    for name, text in written().items():
        (FOLDER / name).write_text(text)


def written() -> Mapping[str, str]:
    """The text of each page by the name of its file."""
    sources = {
        "index": INDEX.read_text(),
        **{name: _alone((openapi.ROOT / "docs" / f"{name}.md").read_text()) for name in GUIDES},
        **rest_pages(json.loads(openapi.DOCUMENT.read_text())),
        "events": "\n".join(events(json.loads(asyncapi.DOCUMENT.read_text()))),
    }
    return {f"{name}.html": _page(name, text) for name, text in sources.items()}


def _alone(text: str) -> str:
    """The text without references in parentheses to documents that are not served."""
    return REFERENCE.sub(lambda found: found[0] if found[1] in {*TITLES, *GROUPS} else "", text)


def _page(name: str, text: str) -> str:
    """A page of Markdown in HTML, with its headings as a table of contents."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    headings = [*_identified(tokens)]
    for token in tokens:
        if token.children:
            token.children = [*_linked(token.children)]
    section = "rest" if name in GROUPS else name
    menu = "".join(_item(each, title, here=each == section) for each, title in TITLES.items())
    body = _breakable(parser.renderer.render(tokens, parser.options, {}))
    title = html.escape(TITLES.get(name) or GROUPS[name][0])
    return PAGE.format(title=title, menu=menu, contents=_contents(headings), body=body)


def _item(name: str, title: str, *, here: bool) -> str:
    current = ' aria-current="page"' if here else ""
    return f'<a href="/docs/{name}.html"{current}>{title}</a>'


def _identified(tokens: Sequence[Token]) -> Iterator[tuple[int, str, str]]:
    """Give each heading an id; its level, id and text."""
    known = set[str]()
    for token, inline in pairwise(tokens):
        if token.type != "heading_open":
            continue
        written_id = ATTRIBUTES.match(f"# {inline.content}")
        if written_id and inline.children:
            inline.content = written_id[1][2:]
            inline.children[-1].content = inline.children[-1].content.partition(" { #")[0]
        text = inline.content.replace("`", "")
        base = written_id[2] if written_id else anchor(text)
        identity = next(each for each in (base, *(f"{base}-{n}" for n in range(2, 99))) if each not in known)
        known.add(identity)
        token.attrs["id"] = identity
        yield int(token.tag[1]), identity, text


def _linked(tokens: Sequence[Token]) -> Iterator[Token]:
    """The tokens with links to pages of this folder; a link to a document that is not served becomes its text."""
    served = True
    for token in tokens:
        if token.type == "link_open":
            link = str(token.attrs["href"])
            page, _, place = link.partition("#")
            name = page.removesuffix(".md")
            served = name == page or name in {*TITLES, *GROUPS}
            if served and name != page:
                token.attrs["href"] = f"/docs/{name}.html" + (f"#{place}" if place else "")
        if token.type == "code_inline" and (name := SERVED.fullmatch(token.content)):
            yield Token("link_open", "a", 1, attrs={"href": token.content})
            yield Token("text", "", 0, content=TITLES[name[1]])
            yield Token("link_close", "a", -1)
        elif served or token.type not in ("link_open", "link_close"):
            yield token


def _breakable(body: str) -> str:
    """The page with the places at which a name in a table may go on in the next line: narrow screens broke words."""
    return CELL.sub(lambda cell: CODE.sub(lambda name: WORD_END.sub("<wbr>", name[0]), cell[0]), body)


def _contents(headings: Sequence[tuple[int, str, str]]) -> str:
    items = (
        f'<li class="level{level}"><a href="#{identity}">{html.escape(text)}</a></li>'
        for level, identity, text in headings
        if level in (2, 3)
    )
    return f"<ul>{''.join(items)}</ul>"
