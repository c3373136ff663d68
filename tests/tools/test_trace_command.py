"""The lines of `zerocart trace` and `zerocart events`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tools.zerocart.events import event_line
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


@dataclass
class Foreign:
    headers: Sequence[tuple[str, bytes | None]]
    value: bytes | None


def test_a_record_of_another_program_is_shown_and_cannot_command_the_terminal() -> None:
    record = Foreign([("ce_type", b"a\x1b[2J\xff"), ("ce_subject", None), ("x", b"\r\n")], b"\x1b]0;title\x07")
    assert event_line(record, as_json=False).split() == ["a\ufffd[2J\ufffd"]
    assert json.loads(event_line(record, as_json=True))["data"] == "\x1b]0;title\x07"
    assert "\x1b" not in event_line(record, as_json=True)
    assert json.loads(event_line(Foreign([], None), as_json=True)) == {"data": None}
