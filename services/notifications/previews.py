"""Writes every mail with made-up values to a folder, so that a shop can look at its wording before customers do.

`python -m services.notifications.previews FOLDER` reads the same environment as the service and writes for each kind of
mail a file to open in a mail program (.eml), one to open in a browser (.html), and the text (.txt).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from email.message import EmailMessage
from pathlib import Path
from typing import get_args

from services.contracts.orders import OrderLine, PricedFields, RefundedLine
from services.kit.domain.message import Money
from services.notifications.domain import EndpointMailKind, MailKind, OrderMailKind, UserMailKind
from services.notifications.mails import Mail, Shop, compose
from services.notifications.settings import shop_of

__all__ = ["KINDS", "sample", "write_previews"]

KINDS: Sequence[MailKind] = (*get_args(OrderMailKind), *get_args(UserMailKind), *get_args(EndpointMailKind))
LINK = "https://shop.example.com/orders/ord_01kb2x3m4n5p6q7r8s9t0v1w2x#token=ord_01kb2x3m4n5p6q7r8s9t0v1w2x.0.0"
VALUES: Mapping[str, object] = {
    "order_id": "ord_01kb2x3m4n5p6q7r8s9t0v1w2x",
    "number": "10042",
    "user_id": "usr_01kb2x3m4n5p6q7r8s9t0v1w2x",
    "name": "Ann Archer",
    "total": Money(amount=Decimal("1234.50"), currency="GBP"),
    "amount": Money(amount=Decimal("20.00"), currency="GBP"),
    "before": Money(amount=Decimal("5.00"), currency="GBP"),
    "nothing_left": False,
    "in_all": Money(amount=Decimal("25.00"), currency="GBP"),
    "has_lines": True,
    "shipping": Money(amount=Decimal("4.00"), currency="GBP"),
    "reason": "the card was declined",
    "tracking_number": "ZC0123456789GB",
    "token": "3b1f0e6a2c",
    "until": datetime(2026, 12, 1, 18, 30, tzinfo=UTC),
    "endpoint_id": "we_01kb2x3m4n5p6q7r8s9t0v1w2x",
    "url": "https://shop.example.com/zerocart",
    "code": "failing",
}


def _line(name: str, quantity: int, subtotal: str) -> OrderLine:
    amount = Decimal(subtotal)
    return OrderLine(
        product_id=name, product_name=name, quantity=quantity, unit_price=amount / quantity, subtotal=amount
    )


ORDER = PricedFields(
    lines=(_line("Mug", 2, "20.00"), _line("Teapot", 1, "1210.50")),
    coupon="SPRING", subtotal=Decimal("1230.50"), discount_total=Decimal("10.00"), shipping_total=Decimal("4.00"),
    tax_total=Decimal("10.00"), total=Money(amount=Decimal("1234.50"), currency="GBP"),
)  # fmt: skip
REFUNDED = (RefundedLine(line=1, product_id="MUG", product_name="Mug", quantity=2),)


def write_previews(folder: Path, shop: Shop) -> list[Path]:
    """Write the mails of all kinds; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [file for kind in KINDS for file in _write(folder, kind, compose(sample(kind), shop))]


def sample(kind: MailKind) -> Mail:
    """A mail with made-up values."""
    return Mail(
        kind=kind, identity="preview", about=("X-Zerocart-Order", "preview"), person="preview", to="ann@example.com",
        values=VALUES,
        order=ORDER if kind in ("order_placed", "confirmation") else None,
        refunded=REFUNDED if kind == "order_refunded" else (),
        link=LINK if kind in ("order_placed", "order_link") else None,
    )  # fmt: skip


def _write(folder: Path, kind: str, mail: EmailMessage) -> list[Path]:
    files = [folder / f"{kind}.eml", folder / f"{kind}.html", folder / f"{kind}.txt"]
    files[0].write_bytes(bytes(mail))
    for file, subtype in zip(files[1:], ("html", "plain"), strict=True):
        part = mail.get_body((subtype,))
        assert part is not None, "every mail has both parts"
        subject = f"{mail['Subject']}\n\n" if subtype == "plain" else ""
        file.write_text(subject + part.get_content(), encoding="utf-8")
    return files


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m services.notifications.previews FOLDER")
    written = write_previews(Path(sys.argv[1]), shop_of(os.environ))
    sys.stdout.write(f"wrote {len(written)} files to {sys.argv[1]}\n")
