"""Mails made from the templates in `templates/`: a text part and an HTML part with the same paragraphs.

The first line of a mail's template is the subject; paragraphs follow, each on one line, with empty lines between them.
`layout.txt` and `layout.html` put the paragraphs, and the items of an order if there are any, into the two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from services.notifications.domain import OrderMailKind, UserMailKind

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["PERSON_HEADER", "Mail", "Shop", "compose"]

PERSON_HEADER = "X-Zerocart-Person"
"""The header that names the person whom a mail is about, so that a mail catcher can erase the person's mails."""
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Shop:
    """The sender of every mail."""

    address: str
    name: str = "zerocart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one person; `identity` makes its Message-ID, `about` is a header and its value for mail filters."""

    kind: OrderMailKind | UserMailKind
    identity: str
    about: tuple[str, str]
    person: str
    to: str
    values: Mapping[str, object]
    items: Sequence[str] = field(default=())


def compose(mail: Mail, shop: Shop) -> EmailMessage:
    """The mail as it is sent. A repeat has the same Message-ID (RFC 5322 3.6.4), by which mail stores recognise it."""
    subject, *paragraphs = _paragraphs(mail, shop)
    header, value = mail.about
    message = EmailMessage()
    message["From"] = shop.address
    message["To"] = mail.to
    message["Subject"] = subject
    message["Message-ID"] = f"<{mail.kind}.{mail.identity}@{shop.address.rpartition('@')[2]}>"
    message[header] = value
    message[PERSON_HEADER] = mail.person
    parts = {"paragraphs": paragraphs, "items": mail.items}
    message.set_content(_templates().get_template("layout.txt").render(parts))
    message.add_alternative(_templates().get_template("layout.html").render(parts), subtype="html")
    return message


def _paragraphs(mail: Mail, shop: Shop) -> list[str]:
    text = _templates().get_template(f"{mail.kind}.txt").render(mail.values, shop=shop.name)
    return [paragraph for paragraph in text.split("\n") if paragraph]


@cache
def _templates() -> Environment:
    # imported with the first mail: it takes 30 ms of CPU, more than the rest of a first mail
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
