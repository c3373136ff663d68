"""The chart sets the variables that the code reads, and every timeout is longer than the work it waits for."""

from __future__ import annotations

import json
import re

import pytest

from services.folders import SERVICES
from services.kit.events.endpoint import EVENT_BYTES_MAX
from services.kit.events.kafka import MESSAGE_BYTES_MAX
from services.kit.rest.routes import BODY_BYTES_MAX
from services.projection import api, feeder
from services.query.csv_export import EXPORT_SECONDS_MAX
from services.query.snapshots import CONNECT_SECONDS_MAX, POSITION_WAIT_SECONDS, STATEMENT_SECONDS_MAX
from tests.architecture.rendered import WAYS, documents, pods
from tests.architecture.rules import ROOT

COLD_START_SECONDS_MAX = 30
NAME = re.compile(r'"((?:[A-Z]+_)*[A-Z]+)"')
CADDYFILE = (ROOT / "docker" / "edge" / "Caddyfile").read_text()
OF_THE_LIBRARY = "OTEL_"


def source(service: str) -> str:
    return (ROOT / "services" / service / "app.py").read_text()


def read_by_the_code(service: str) -> set[str]:
    places = [ROOT / "services" / name for name in ("kit", "setup.py", "run.py", service)]
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]
    return {name for file in files for name in NAME.findall(file.read_text())}


def mounted(template: dict) -> set[str]:
    sources = [
        each for volume in template["spec"]["volumes"] for each in volume.get("projected", {}).get("sources", ())
    ]
    tokens = {each["serviceAccountToken"]["path"] for each in sources if "serviceAccountToken" in each}
    return tokens | {item["path"] for each in sources for item in each.get("secret", {}).get("items", ())}


def environ(template: dict) -> dict[str, str]:
    (container,) = template["spec"]["containers"]
    return {each["name"]: each.get("value", "") for each in container["env"]}


def deployed(way: str) -> dict[str, dict]:
    found = {document["metadata"]["name"]: template for document, template in pods(way)}
    return {name: found[name] for name in SERVICES}


@pytest.mark.parametrize("way", WAYS)
def test_every_variable_that_is_set_is_read(way):
    for name, template in deployed(way).items():
        known = read_by_the_code(name)
        files = {path for path in mounted(template) if path.isupper()}
        told = {each for each in environ(template) if not each.startswith(OF_THE_LIBRARY)}
        assert files | told <= known, name


def test_only_services_that_publish_get_the_address_of_kafka():
    for name, template in deployed("everything").items():
        publishes = "Host.connect(" in source(name)
        assert ("KAFKA_BOOTSTRAP_SERVERS" in environ(template)) is publishes, name
        assert ("KAFKA_SASL_PASSWORD" in mounted(template)) is publishes, name


def test_a_service_gets_the_addresses_of_the_services_that_it_calls():
    """The services that its commands will reach, which it wakes."""
    for name, template in deployed("none").items():
        text = source(name)
        asked = set[str]()
        for names in re.findall(r"(?:warms|WARMS) ?= ?\(([^)]*)\)", text):
            asked |= set(re.findall(r'"(\w+)"', names))
        if "wake_services_behind" in text:  # everybody who receives events and records how far
            asked |= {each for each in SERVICES if re.search("(reactions|missed)=", source(each))} - {
                name,
                "operations",
            }
        told = json.loads(environ(template).get("ZEROCART_SERVICE_URLS", "{}"))
        assert told == {each: f"http://{each}.zerocart.svc.cluster.local" for each in asked}, name


@pytest.mark.parametrize("way", WAYS)
def test_the_timeout_of_a_nudge_includes_a_cold_start(way):
    waits = feeder.WAIT_SECONDS_MAX + COLD_START_SECONDS_MAX
    template = deployed(way)["projection"]
    (trigger,) = [d for d in documents(way) if d["kind"] == "Trigger" and d["metadata"]["name"] == "projection"]
    (timeout,) = re.findall(r"^PT(\d+)S$", trigger["spec"]["delivery"]["timeout"])
    assert waits < int(timeout) < template["spec"]["timeoutSeconds"]


@pytest.mark.parametrize("way", WAYS)
def test_an_export_ends_before_the_platform_ends_it(way):
    found = {document["metadata"]["name"]: template for document, template in pods(way)}
    for name in {"query", "edge"} & set(found):
        assert found[name]["spec"]["timeoutSeconds"] > EXPORT_SECONDS_MAX


def test_the_edge_waits_as_long_as_a_query_may_take():
    (seconds,) = re.findall(r"response_header_timeout (\d+)s", CADDYFILE)
    reads = POSITION_WAIT_SECONDS + CONNECT_SECONDS_MAX + STATEMENT_SECONDS_MAX
    assert max(reads, api.WAIT_SECONDS_MAX) + COLD_START_SECONDS_MAX <= int(seconds)


def test_the_edge_and_the_services_have_the_same_body_limits():
    assert set(re.findall(r"(?:max_size|request_buffers) (\w+)", CADDYFILE)) == {"1MB"}
    assert BODY_BYTES_MAX == 1_000_000  # what Caddy takes 1MB for
    assert MESSAGE_BYTES_MAX <= EVENT_BYTES_MAX
