"""An order is one trace from POST /orders to the mail, through real Kafka, as a collector receives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.architecture.rules import ROOT
from tests.e2e.collector import collecting
from tests.e2e.local import cluster
from tests.services.system import order
from tests.waiting import SECONDS_MAX

pytestmark = pytest.mark.e2e

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OF_AN_ORDER = {"orders", "inventory", "payments", "shipping", "fulfillment", "notifications"}


def test_an_order_is_one_trace_from_the_request_to_the_mail(tmp_path):
    with collecting() as collector, cluster(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as local:
        local.stock("P", 5)
        with local.client() as client:
            headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
            answer = client.post("/orders", json=order(("P", 1)), headers=headers).raise_for_status()
        order_id = answer.json()["order_id"]
        local.until(lambda: local.state_of(order_id) == "confirmed")
        # what is left comes when the services fall asleep
        local.until(lambda: local.quick_status()["processes"] == 0)
        found = collector.trace(TRACE)
    assert {span.service for span in found} >= OF_AN_ORDER
    names = {(span.service, span.name) for span in found}
    assert {("orders", "POST /orders"), ("notifications", "send mail"), ("orders", "append")} <= names
    assert ("payments", "process zerocart.fulfillment.payment.capture.v1") in names
    assert ("fulfillment", "publish zerocart.events") in names
    (root,) = [span for span in found if span.name == "POST /orders"]
    assert root.parent_id == "00f067aa0ba902b7"
    known = {span.span_id for span in found}
    assert [span for span in found if span.parent_id not in known] == [root]  # whole: from each span it leads back
    (mail,) = [span for span in found if span.name == "send mail"]
    by_id = {span.span_id: span for span in found}
    steps = 0
    while mail is not root:
        mail, steps = by_id[mail.parent_id], steps + 1
    assert steps > 5
    said = json.dumps([span.attributes for span in collector.spans])
    assert order_id in said
    for personal in ("ann@example.com", "1 Road", "tok_approve", "Leeds"):
        assert personal not in said


def test_a_service_that_does_not_export_does_not_import_opentelemetry():
    """The libraries are not even imported."""
    program = (
        "import sys\n"
        "from services.orders.app import create_app\n"
        "import services.kit.rest.app, services.run\n"
        "services.run._export_spans('orders')\n"
        "assert not [name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))]\n"
        "import os; os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:1'\n"
        "services.run._export_spans('orders')\n"
        "assert 'opentelemetry.sdk' in sys.modules\n"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    subprocess.run(
        [sys.executable, "-c", program], env={**environ, "PYTHONPATH": str(ROOT)}, check=True, timeout=SECONDS_MAX
    )
