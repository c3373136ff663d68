"""Spans by OTLP over HTTP, with the OpenTelemetry SDK: imported only where OTEL_EXPORTER_OTLP_ENDPOINT is set.

The SDK reads the other OTEL_ variables itself: headers, timeout, sampler, resource attributes, batch sizes.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from contextlib import suppress

from opentelemetry import trace as api
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.kit.telemetry.logging import log
from services.kit.telemetry.tracing import Kind

__all__ = ["CLOSE_SECONDS_MAX", "OtlpExporter"]

CLOSE_SECONDS_MAX = 5.0
"""How long a process that ends waits for the collector."""
KINDS: Mapping[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class OtlpExporter:
    """Sends the spans of one process of `service` to the collector that the environment names."""

    def __init__(self, service: str) -> None:
        resource = Resource.create({"service.name": service, "service.namespace": "zerocart"})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("zerocart")
        self._propagator = TraceContextTextMapPropagator()

    def start(self, name: str, kind: Kind, parent: str, state: str) -> OtlpSpan:
        """Begin a span in the trace of `parent`, with that tracestate, or in a new trace if `parent` is empty."""
        context = self._propagator.extract({"traceparent": parent, "tracestate": state})
        return OtlpSpan(self._tracer.start_span(name, context, KINDS[kind]))

    async def close(self) -> None:
        """Send the remaining spans; wait at most CLOSE_SECONDS_MAX for a collector that does not answer."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def shut_down() -> None:
            self._provider.shutdown()
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(done.set)

        # not in the executor of the loop, because the process would wait for it at its end
        threading.Thread(target=shut_down, daemon=True).start()
        try:
            await asyncio.wait_for(done.wait(), CLOSE_SECONDS_MAX)
        except TimeoutError:
            log("spans lost: the collector did not answer in time", level=logging.WARNING)


class OtlpSpan:
    """One span of OpenTelemetry."""

    def __init__(self, span: api.Span) -> None:
        self._span = span
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, name: str, value: str | int) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        """Rename the span."""
        self._span.update_name(name)

    def end(self, error: BaseException | None) -> None:
        """End the span; of an error only the type is recorded, because its text may be personal."""
        if error is not None:
            self._span.set_attribute("error.type", type(error).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()
