"""Traces from REST through event store and topic, metrics that count, and logs without personal data."""

from __future__ import annotations

import json
import logging

import pytest

from services.kit.telemetry import tracing
from services.kit.telemetry.export import OtlpExporter
from services.kit.telemetry.logging import CORRELATION, configure, log
from services.kit.wire.cloudevents import kafka_headers
from tests.services.system import order, running

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_an_order_is_one_trace_from_the_request_to_the_mail(database):
    async with running(database) as system:
        await system.stock("P", 5)
        headers = {"traceparent": f"cc-{TRACE}-00f067aa0ba902b7-01-more", "tracestate": "congo=t61rcWkgMzE"}
        answer = await system.orders.post("/orders", json=order(("P", 1)), headers=headers)
        order_id = answer.json()["order_id"]
        await system.bus.quiet()
        events = [e for e in system.bus.published if json.loads(e.meta)["correlationid"] == order_id]
        assert len(events) > 20
        assert {json.loads(e.meta)["traceparent"].split("-")[1] for e in events} == {TRACE}
        assert {json.loads(e.meta)["tracestate"] for e in events} == {"congo=t61rcWkgMzE"}
        for _, sent in map(kafka_headers, events):
            assert {name: dict(sent)[name] for name in ("tracestate", "ce_tracestate")} == dict.fromkeys(
                ("tracestate", "ce_tracestate"), b"congo=t61rcWkgMzE"
            )
        assert any(e.type.endswith("confirmation.sent.v1") for e in events)


async def test_a_published_event_has_the_headers_that_the_broker_needs(database):
    async with running(database) as system:
        await system.stock("P", 5)
        await system.place(order(("P", 1)))
        await system.bus.quiet()
        for event in system.bus.published:
            key, headers = kafka_headers(event)
            names = [name for name, _ in headers]
            assert len(set(names)) == len(names)
            assert {"ce_id", "ce_source", "ce_type", "ce_subject", "ce_time", "ce_specversion", "ce_position"} <= set(
                names
            )
            assert {"traceparent", "ce_traceparent", "ce_partitionkey", "content-type"} <= set(names)
            assert all(value and b"%" not in value and value.isascii() for _, value in headers)
            assert dict(headers)["ce_partitionkey"].decode() == key
            assert ("ce_expirytime" in names) == (event.type.startswith("zerocart.fulfillment.") and _is_request(event))


def _is_request(event) -> bool:
    return event.type.split(".")[2] in {
        "inventory",
        "payment",
        "fulfillment",
        "shipment",
        "confirmation",
        "cancellation",
        "order",
    }


async def test_metrics_count_each_handled_event(database):
    async with running(database) as system:
        before = await counted(system)
        await system.stock("P", 5)
        for _ in range(3):
            await system.place(order(("P", 1)))
        await system.bus.quiet()
        after = await counted(system)
    assert after - before == 2 * 3  # orders and inventory hear it, both in this process


async def counted(system) -> float:
    text = (await system.orders.get("/metrics")).text
    wanted = 'zerocart_messages_total{status="204",type="zerocart.fulfillment.run.completed.v1"} '
    return next((float(line.removeprefix(wanted)) for line in text.splitlines() if line.startswith(wanted)), 0.0)


async def test_every_service_is_live_and_ready(database):
    async with running(database) as system:
        for name, client in system.bus.clients.items():
            for path in ("/healthz/live", "/healthz/ready"):
                assert (await client.get(path)).status_code == 200, name


async def test_an_unreachable_collector_delays_no_request(database, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    tracing.export_to(OtlpExporter("orders"))
    try:
        async with running(database) as system:
            await system.stock("P", 5)
            answer = await system.place(order(("P", 1)))
            assert answer.status_code == 202
            await system.bus.quiet()
            assert await system.said("notifications.confirmation.sent")
    finally:
        await tracing.close()
    with tracing.span("later") as after:
        assert after is tracing.NO_SPAN


@pytest.fixture
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


async def test_log_lines_carry_the_ids(capsys, logging_as_before):
    configure("orders")
    with tracing.span("serving", "server", parent=f"00-{TRACE}-00f067aa0ba902b7-01"):
        CORRELATION.set("ord_1")
        log("something happened")
        line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["trace_id"], line["correlation_id"], line["service"]) == (TRACE, "ord_1", "orders")
    assert len(line["span_id"]) == 16
