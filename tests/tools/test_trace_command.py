"""The lines of `zerocart trace`."""

from __future__ import annotations

from datetime import UTC, datetime

from tools.zerocart.trace import TracedEvent, as_text


def test_an_imported_order_names_its_source() -> None:
    data = {
        "source": "old-shop", "number": "1003", "status": "cancelled", "reason": "credit note G1",
        "total": {"amount": "14.50", "currency": "EUR"}, "personal": {"sealed": "x"},
    }  # fmt: skip
    at = datetime(2026, 11, 28, tzinfo=UTC)
    event = TracedEvent("order-ord_1:1", "orders", "zerocart.orders.order.imported.v1", at, data, "")
    *_, line, _, last = as_text("ord_1", [event])
    assert line.endswith(
        "order.imported  source=old-shop number=1003 status=cancelled reason=credit note G1 total=14.50 EUR"
    )
    assert last == "1 event in 0.000 s"
