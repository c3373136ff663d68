"""Makes PDFs of contents by Typst templates (`services/query/templates`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, cast

from services.query.documents.content import Content
from services.query.documents.fonts import families_for, folder, require_packages, visible
from services.query.documents.words import TEMPLATES

if TYPE_CHECKING:
    from typst import Compiler

__all__ = ["Template", "Typesetter"]

Template = Literal["invoice", "packing-slip"]


class Typesetter:
    """Makes one PDF at a time in a thread: the longest order needs 100 MB and a quarter of a second of CPU."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def pdf(self, template: Template, content: Content, country: str) -> bytes:
        """The document as PDF; `country` decides about the shapes of Han characters. It may raise NotInstalled."""
        require_packages()
        async with self._turn:
            return await asyncio.to_thread(_pdf, template, content, country)


def _pdf(template: Template, content: Content, country: str) -> bytes:
    data = {**_visible(content), "fonts": families_for(country)}
    source = (TEMPLATES / f"{template}.typ").read_bytes()
    pdf = _compiler().compile(input=source, format="pdf", pdf_tags=False, sys_inputs={"data": json.dumps(data)})
    assert isinstance(pdf, bytes), "the templates make one document"
    return pdf


def _visible(value: Any) -> Any:
    """The value with each text in it as the fonts can show it."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {name: _visible(each) for name, each in cast("Mapping[str, Any]", value).items()}
    return [_visible(each) for each in value]


@cache
def _compiler() -> Compiler:
    # imported with the first document: it is a library of 80 MB
    from typst import Compiler

    return Compiler(root=TEMPLATES, font_paths=[folder()], ignore_system_fonts=True)
