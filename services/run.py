"""Starts one service: `python -m services.run orders`, or without an argument the one that SERVICE names."""

from __future__ import annotations

import gc
import os
import sys

from services.folders import SERVICES

__all__ = ["main", "settle"]

GRACE_SECONDS = 25
GARBAGE_OBJECTS = (20_000, 50, 100)
"""Thresholds of the garbage collector. Requests leave few cycles, and the default thresholds cost 4 % of the CPU."""


def main() -> None:
    """Serve until SIGTERM; exits with 2 if there is no such service."""
    service = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SERVICE", "")
    if service not in SERVICES:
        sys.exit(f"usage: python -m services.run SERVICE, one of {', '.join(SERVICES)} (not {service!r})")
    gc.disable()  # imports make little garbage, and collecting it takes a tenth of a cold start
    from importlib import import_module

    import uvicorn

    from services.kit.domain.errors import ZerocartError
    from services.kit.service.protocol import BoundedProtocol
    from services.kit.service.reporting import reported
    from services.kit.service.server import serve

    try:
        _export_spans(service)
        _check_rates()
        served = import_module(f"services.{service}.app").create_app()
    except ZerocartError as error:
        sys.exit(str(error))
    settle()
    fd = os.environ.get("ZEROCART_LISTEN_FD")
    config = uvicorn.Config(
        reported(served),
        fd=int(fd) if fd else None,
        host="0.0.0.0",  # noqa: S104 - in a container, where the platform decides who can reach it
        port=int(os.environ.get("PORT", "8080")),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # uvicorn trusts one address, and on a cluster the proxies have many
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=2048,
    )
    serve(served, config)


def settle() -> None:
    """Collect garbage rarely, and exclude the objects made so far, which live as long as the process."""
    gc.enable()
    gc.freeze()
    gc.set_threshold(*GARBAGE_OBJECTS)


def _export_spans(service: str) -> None:
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        from services.kit.telemetry.export import OtlpExporter
        from services.kit.telemetry.tracing import export_to

        export_to(OtlpExporter(service))


def _check_rates() -> None:
    if rates := os.environ.get("ZEROCART_RATES"):
        from services.kit.config.variables import texts
        from services.rates import require_known

        require_known(texts("ZEROCART_RATES", rates))


if __name__ == "__main__":
    main()
