"""What the mails say, in text and HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape

from services.contracts.orders import OrderLine
from services.kit.domain.message import Money
from services.notifications.domain import Kind

__all__ = ["PERSON_HEADER", "Letter", "compose"]

LINES_SHOWN_MAX = 100

_SUBJECTS: Mapping[Kind, str] = {
    "confirmation": "Your order {order_id} is confirmed",
    "cancellation": "Your order {order_id} has been cancelled and refunded",
    "order_failed": "Your order {order_id} could not be completed",
    "order_cancelled": "Your order {order_id} is cancelled",
}
_OPENINGS: Mapping[Kind, str] = {
    "confirmation": "Thank you. The goods are set aside for you, and your payment of {total} went through.",
    "cancellation": "Your order had been confirmed. It is cancelled now, and {total} goes back to your card.",
    "order_failed": "We are sorry: {reason}. Nothing was charged, or it has been given back.",
    "order_cancelled": "As you asked, we cancelled it. Nothing was charged, or it has been given back.",
}


PERSON_HEADER = "X-Zerocart-Person"
"""Whom a mail is about, for a mail catcher that has to forget them."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail to one person about one order."""

    kind: Kind
    order_id: str
    person: str
    to: str
    name: str | None = None
    total: Money | None = None
    lines: Sequence[OrderLine] = ()
    reason: str = ""


def compose(letter: Letter, sender: str) -> EmailMessage:
    """The mail; its Message-ID follows from kind and order, so that a repeat can be recognised (RFC 5322 3.6.4)."""
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = letter.to
    mail["Subject"] = _SUBJECTS[letter.kind].format(order_id=letter.order_id)
    mail["Message-ID"] = f"<{letter.kind}.{letter.order_id}@{sender.rpartition('@')[2]}>"
    mail["X-Zerocart-Order"] = letter.order_id
    mail[PERSON_HEADER] = letter.person
    paragraphs = _paragraphs(letter)
    mail.set_content("\n\n".join([*paragraphs, *_text_lines(letter)]) + "\n")
    mail.add_alternative(_html(paragraphs, letter), subtype="html")
    return mail


def _paragraphs(letter: Letter) -> list[str]:
    total = f"{letter.total.amount} {letter.total.currency}" if letter.total else "the amount"
    opening = _OPENINGS[letter.kind].format(total=total, reason=letter.reason or "it could not be fulfilled")
    return [f"Dear {letter.name or 'customer'},", opening, f"Order {letter.order_id}"]


def _shown(letter: Letter) -> list[str]:
    shown = [f"{line.quantity} x {line.product_name}" for line in letter.lines[:LINES_SHOWN_MAX]]
    more = len(letter.lines) - LINES_SHOWN_MAX
    return [*shown, f"and {more} more"] if more > 0 else shown


def _text_lines(letter: Letter) -> list[str]:
    return ["\n".join(f"  {line}" for line in _shown(letter))] if letter.lines else []


def _html(paragraphs: Sequence[str], letter: Letter) -> str:
    body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    items = "".join(f"<li>{escape(line)}</li>" for line in _shown(letter))
    return f"<!doctype html><html lang=en><body>{body}{f'<ul>{items}</ul>' if items else ''}</body></html>"
