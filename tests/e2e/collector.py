"""A collector that a test starts: it receives spans by OTLP over HTTP and stores them."""

from __future__ import annotations

import gzip
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Taken:
    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]


class Collector:
    def __init__(self, server: ThreadingHTTPServer, spans: list[Taken]) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.spans = spans

    def trace(self, trace_id: str) -> list[Taken]:
        return [span for span in list(self.spans) if span.trace_id == trace_id]


@contextmanager
def collecting() -> Generator[Collector]:
    spans: list[Taken] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            assert self.path == "/v1/traces"
            spans.extend(read(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Collector(server, spans)
        finally:
            server.shutdown()
            thread.join()


def read(body: bytes) -> list[Taken]:
    return [
        Taken(
            next(each.value.string_value for each in of_one.resource.attributes if each.key == "service.name"),
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes},
        )
        for of_one in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in of_one.scope_spans
        for span in scope.spans
    ]
