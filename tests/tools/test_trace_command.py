"""What `zerocart trace` says of an order in words."""

from __future__ import annotations

from datetime import UTC, datetime

from tools.zerocart.trace import Happening, as_text


def test_an_order_that_was_brought_here_says_from_where() -> None:
    said = {
        "source": "old-shop", "number": "1003", "status": "cancelled", "reason": "credit note G1",
        "total": {"amount": "14.50", "currency": "EUR"}, "personal": {"sealed": "x"},
    }  # fmt: skip
    at = datetime(2026, 11, 28, tzinfo=UTC)
    happening = Happening("order-ord_1:1", "orders", "zerocart.orders.order.imported.v1", at, said, "")
    *_, line, _, last = as_text("ord_1", [happening])
    assert line.endswith(
        "order.imported  source=old-shop number=1003 status=cancelled reason=credit note G1 total=14.50 EUR"
    )
    assert last == "1 event in 0.000 s"
