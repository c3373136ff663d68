"""`python -m tools.knative_local.delivery`: delivers until SIGTERM; then it finishes open deliveries, commits and ends.

Every option can be given as an environment variable: ZEROCART_MANIFESTS, KAFKA_BOOTSTRAP_SERVERS,
ZEROCART_SERVICE_URLS (a JSON object: service -> base URL), ZEROCART_NAMESPACE, ZEROCART_STATUS_PORT or
ZEROCART_STATUS_FD (an inherited listening socket).
ZEROCART_ERASURES_URL gets the events of erased persons. With ZEROCART_DELIVERY_KEY, an Ed25519 key in PEM, requests
carry an identity token.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from services.kit.telemetry.logging import configure
from tools.knative_local.delivery.dispatch import Dispatcher
from tools.knative_local.delivery.identity import Identity
from tools.knative_local.delivery.kafka import KafkaTopic
from tools.knative_local.delivery.routes import routes_by_topic, with_erasures
from tools.knative_local.delivery.status import StatusServer
from tools.knative_local.manifests import UnsupportedManifestError, read_manifests

log = logging.getLogger("zerocart.delivery")


def main() -> None:
    """Read the manifests, deliver until told to stop."""
    options = _options()
    configure("delivery", os.environ.get("LOG_LEVEL", "INFO"))
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    try:
        dispatchers = _dispatchers(options)
    except UnsupportedManifestError as error:
        sys.exit(str(error))
    import uvloop

    uvloop.run(_run(dispatchers, options))


def _options() -> argparse.Namespace:
    environ = os.environ
    parser = argparse.ArgumentParser(prog="delivery", description=__doc__)
    parser.add_argument("--manifests", type=Path, default=Path(environ.get("ZEROCART_MANIFESTS", "knative")))
    servers = environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    parser.add_argument("--bootstrap-servers", default=servers)
    parser.add_argument("--service-urls", default=environ.get("ZEROCART_SERVICE_URLS", "{}"))
    parser.add_argument("--namespace", default=environ.get("ZEROCART_NAMESPACE", "default"))
    parser.add_argument("--status-host", default=environ.get("ZEROCART_STATUS_HOST", "127.0.0.1"))
    parser.add_argument("--status-port", type=int, default=int(environ.get("ZEROCART_STATUS_PORT", "0")))
    fd = environ.get("ZEROCART_STATUS_FD")
    parser.add_argument("--status-fd", type=int, default=int(fd) if fd else None)
    return parser.parse_args()


def _dispatchers(options: argparse.Namespace) -> dict[str, Dispatcher]:
    base_urls = cast("Mapping[str, str]", json.loads(options.service_urls))
    key = os.environ.get("ZEROCART_DELIVERY_KEY", "")  # not an option: command lines are visible to every user
    identity = Identity(key) if key else None
    manifests = read_manifests(options.manifests)
    if url := os.environ.get("ZEROCART_ERASURES_URL"):
        manifests = with_erasures(manifests, url)
    topics = routes_by_topic(manifests, base_urls, options.namespace, identity)
    return {name: Dispatcher(KafkaTopic(options.bootstrap_servers, name), routes) for name, routes in topics.items()}


async def _run(dispatchers: Mapping[str, Dispatcher], options: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    running = list(dispatchers.values())
    status = StatusServer(lambda: _state(running))
    await asyncio.gather(*(dispatcher.start() for dispatcher in running))
    port = await status.start(options.status_host, options.status_port, options.status_fd)
    log.info("delivering %s, status on port %d", ", ".join(dispatchers), port)
    await stopping.wait()
    await asyncio.gather(*(dispatcher.stop() for dispatcher in running))
    await status.stop()


def _state(dispatchers: Sequence[Dispatcher]) -> dict[str, object]:
    triggers = {name: state for dispatcher in dispatchers for name, state in dispatcher.status().items()}
    return {"triggers": triggers, "losses": [loss for dispatcher in dispatchers for loss in dispatcher.losses()]}


if __name__ == "__main__":
    main()
