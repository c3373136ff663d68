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
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from scripts import asyncapi, openapi
from scripts.site import component, kind, rest

__all__ = ["FOLDER", "write", "written"]

FOLDER = openapi.DOCUMENT.parent / "docs"
STYLE = "style.css"
"""The only file of the folder that is written by hand."""
TITLES: Mapping[str, str] = {
    "index": "Documentation",
    "programs": "Webhooks and the event stream",
    "front-end": "A shop front end",
    "staff": "Staff actions on orders",
    "rest": "REST interface",
    "events": "Events",
}
GUIDES = ("programs", "front-end", "staff")
INDEX = """\
# zerocart

zerocart manages the orders of a shop. Programs call its REST interface, and learn by events what happens.

| you want to | read |
|---|---|
| learn what happens in the shop, by webhooks or by a stream | [Webhooks and the event stream](programs.md) |
| build the pages of a shop | [A shop front end](front-end.md) |
| work on orders: hold, edit, refund; see who changed what | [Staff actions on orders](staff.md) |
| look up a request, a field or an answer | [REST interface](rest.md) |
| look up an event and its fields | [Events](events.md) |

Tools read the [OpenAPI document](/openapi.json) and the [AsyncAPI document](/asyncapi.json). People log in at the
[console](/console).

The examples on these pages call `localhost:8080`, where a local cluster is: write the address of your zerocart instead.

## The first request

Ask whoever runs zerocart for a client id and a secret. They make both in the console (Access, “New program …”), or with
`POST /clients`. Then get a token, which holds for 15 minutes, and send it with each request:

```
token=$(curl -s -X POST {edge}/v1/token -d grant_type=client_credentials -d client_id=cli_… -d client_secret=… \\
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
curl {edge}/v1/orders -H "Authorization: Bearer $token"
```

A client in TypeScript: this command writes the types, and the package `openapi-fetch` sends requests with them.

```
npx openapi-typescript {edge}/openapi.json --default-non-nullable=false -o zerocart.ts
```

```ts
import createClient from "openapi-fetch"
import type { paths } from "./zerocart"

const shop = createClient<paths>({ baseUrl: "{edge}/v1", headers: { Authorization: `Bearer ${token}` } })
const { data, error } = await shop.GET("/orders/{order_id}", { params: { path: { order_id: "ord_…" } } })
```

A client in Python: `openapi-python-client generate --url {edge}/openapi.json`; its `base_url` is `{edge}/v1`.
"""
EVENTS = """\
# Events

The fields of `data` for each type. [Webhooks and the event stream](programs.md) shows how a program gets events, and
what all of them have in common. The [AsyncAPI document](/asyncapi.json) has the same for tools.
"""
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
        "index": INDEX.replace("{edge}", "http://localhost:8080"),
        **{name: (openapi.ROOT / "docs" / f"{name}.md").read_text() for name in GUIDES},
        "rest": "\n".join(rest(json.loads(openapi.DOCUMENT.read_text()))).replace("(openapi.json)", "(/openapi.json)"),
        "events": "\n".join(_events(json.loads(asyncapi.DOCUMENT.read_text()))),
    }
    return {f"{name}.html": _page(name, text) for name, text in sources.items()}


def _events(document: Mapping[str, Any]) -> Iterator[str]:
    yield EVENTS
    schemas: Mapping[str, Any] = document["components"]["schemas"]
    shown = set[str]()
    for name, message in document["components"]["messages"].items():
        own = message["payload"]["properties"]["data"]["$ref"].rpartition("/")[2]
        shown.add(own)
        yield f"## `{name}`\n\n{message['summary']} {message['description']}\n"
        yield from _fields(schemas[own])
    yield "## Schemas\n"
    for name in sorted(schemas.keys() - shown):
        yield from component(name, schemas[name])


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    yield "| field | type | |\n|---|---|---|"
    for name, each in schema["properties"].items():
        yield f"| `{name}` | {kind(each)} | {'' if name in required else 'not in every event'} |"
    yield ""


def _page(name: str, text: str) -> str:
    """A page of Markdown in HTML, with its headings as a table of contents."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(text)
    headings = [*_identified(tokens)]
    for token in tokens:
        if token.children:
            token.children = [*_linked(token.children)]
    menu = "".join(_item(each, title, here=each == name) for each, title in TITLES.items())
    body = parser.renderer.render(tokens, parser.options, {})
    return PAGE.format(title=TITLES[name], menu=menu, contents=_contents(headings), body=body)


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
        base = written_id[2] if written_id else re.sub(r"[^\w]+", "-", text.lower()).strip("-")
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
            served = name == page or name in TITLES
            if served and name != page:
                token.attrs["href"] = f"/docs/{name}.html" + (f"#{place}" if place else "")
        if served or token.type not in ("link_open", "link_close"):
            yield token


def _contents(headings: Sequence[tuple[int, str, str]]) -> str:
    items = (
        f'<li class="level{level}"><a href="#{identity}">{html.escape(text)}</a></li>'
        for level, identity, text in headings
        if level in (2, 3)
    )
    return f"<ul>{''.join(items)}</ul>"
