"""Mails made from templates: a text part and an HTML part with the same paragraphs.

The first line of a mail's template is the subject; paragraphs follow, each on one line, with empty lines between them.
`item.txt` words one line of an order, `totals.txt` its amounts. `layout.txt` and `layout.html` put the paragraphs, the
items and the totals into the two parts. A shop's own folder may replace each of these files, and add `<kind>.html` for
the whole HTML part of a kind of mail.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from email.message import EmailMessage
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from services.contracts.orders import OrderLine, PricedFields, RefundedLine
from services.kit.domain.currencies import shown_amount
from services.kit.domain.message import Money
from services.notifications.domain import MailKind
from services.notifications.mail_headers import PLAIN_HEADERS, sender

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = ["LANGUAGES", "LINES_SHOWN_MAX", "PERSON_HEADER", "Mail", "Shop", "compose"]

PERSON_HEADER = "X-Zerocart-Person"
"""The header that names the person whom a mail is about, so that a mail catcher can erase the person's mails."""
LINES_SHOWN_MAX = 100
TEMPLATES = Path(__file__).parent / "templates"
LANGUAGES = ("en", "de")
"""The languages of the templates that zerocart contains; a missing template is taken from the first."""


@dataclass(frozen=True, slots=True)
class Shop:
    """The sender of every mail; `folder` has the shop's own templates, or a folder of them for each language.

    `url` is that of its front end, to which links in mails lead; without it there are none. `mails_off` are the kinds
    of mail that the shop does not send.
    """

    address: str
    name: str = "zerocart"
    language: str = LANGUAGES[0]
    folder: Path | None = None
    url: str = ""
    mails_off: frozenset[MailKind] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one person; `identity` makes its Message-ID, `about` is a header and its value for mail filters.

    It shows the lines and the totals of `order`, or the lines of a refund, and `link`, if there are any.
    """

    kind: MailKind
    identity: str
    about: tuple[str, str]
    person: str
    to: str
    values: Mapping[str, object]
    order: PricedFields | None = None
    refunded: Sequence[RefundedLine] = ()
    link: str | None = None


def compose(mail: Mail, shop: Shop) -> EmailMessage:
    """The mail as it is sent. A repeat has the same Message-ID (RFC 5322 3.6.4), by which mail stores recognise it."""
    templates = _templates(shop.language, shop.folder)
    values = {name: _shown(templates, value) for name, value in mail.values.items()}
    values |= {"shop": shop.name, "link": mail.link}
    subject, *paragraphs = _paragraphs(templates, mail.kind, values)
    order = mail.order
    lines, currency = (order.lines, order.total.currency) if order else (mail.refunded, "")
    items, totals = _items(templates, lines, currency), _totals(templates, order) if order else []
    parts = {
        **values, "language": shop.language, "paragraphs": paragraphs, "items": items, "totals": totals,
        "link": mail.link, "link_text": templates.get_template("link.txt").render() if mail.link else "",
    }  # fmt: skip
    message = EmailMessage(PLAIN_HEADERS)
    message["From"] = sender(shop.name, shop.address)
    message["To"] = mail.to
    message["Subject"] = subject
    message["Message-ID"] = f"<{mail.kind}.{mail.identity}@{shop.address.rpartition('@')[2]}>"
    header, value = mail.about
    message[header] = value
    message[PERSON_HEADER] = mail.person
    message.set_content(templates.get_template("layout.txt").render(parts))
    message.make_alternative(
        boundary=f"={token_hex(16)}"
    )  # without one, `email` looks for a text that no part contains
    message.add_alternative(_html(templates, mail.kind).render(parts), subtype="html")
    return message


def _items(templates: Environment, lines: Sequence[OrderLine | RefundedLine], currency: str) -> list[str]:
    """Lines, each as one text; those of a refund have no amounts. A long list is shortened."""
    item = templates.get_template("item.txt")

    def text(line: OrderLine | RefundedLine) -> str:
        subtotal = line.subtotal if isinstance(line, OrderLine) else None
        amount = _money(templates, subtotal, currency) if subtotal is not None else None
        return item.render(quantity=line.quantity, name=line.product_name, amount=amount)

    more = len(lines) - LINES_SHOWN_MAX
    rest = [templates.get_template("more_items.txt").render(more=more)] if more > 0 else []
    return [*map(text, lines[:LINES_SHOWN_MAX]), *rest]


def _totals(templates: Environment, order: PricedFields) -> list[str]:
    """The amounts of an order, each with its name; those that are zero are None for the template."""
    amounts = {
        "subtotal": order.subtotal,
        "discount": order.discount_total,
        "shipping": order.shipping_total,
        "tax": order.tax_total,
        "total": order.total.amount,
    }
    currency = order.total.currency
    shown = {name: _money(templates, amount, currency) if amount else None for name, amount in amounts.items()}
    shown["total"] = _money(templates, order.total.amount, currency)
    return _paragraphs(templates, "totals", {**shown, "coupon": order.coupon, "tax_included": order.tax_included})


def _shown(templates: Environment, value: object) -> object:
    """A value as the templates get it: money in the way of the language."""
    return _money(templates, value.amount, value.currency) if isinstance(value, Money) else value


def _money(templates: Environment, amount: Decimal, currency: str) -> str:
    return templates.get_template("amount.txt").render(amount=shown_amount(amount, currency), currency=currency)


def _paragraphs(templates: Environment, kind: str, values: Mapping[str, object]) -> list[str]:
    text = templates.get_template(f"{kind}.txt").render(values)
    return [paragraph for paragraph in text.splitlines() if paragraph.strip()]


@cache
def _html(templates: Environment, kind: str) -> Template:
    # cached here, because Jinja looks in every folder again for a template that it has not found
    return templates.select_template([f"{kind}.html", "layout.html"])


@cache
def _templates(language: str, folder: Path | None) -> Environment:
    # imported with the first mail: it takes 30 ms of CPU, more than the rest of a first mail
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    own = [folder / language, folder] if folder else []
    places = [*own, TEMPLATES / language, TEMPLATES / LANGUAGES[0], TEMPLATES]
    return Environment(
        loader=FileSystemLoader(places),
        autoescape=select_autoescape(),
        auto_reload=False,  # for each mail it would look at the files again, which a new process reads
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
