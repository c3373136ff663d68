"""There is one Caddyfile, and its routes are those of the chart."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import yaml

from scripts.helm import CHART
from scripts.openapi import every_service, routes_of
from services.folders import SERVICES
from services.kit.auth.access import Anybody, Public, rule_of
from tests.architecture.rendered import documents
from tests.architecture.rules import ROOT

CADDYFILE = ROOT / "docker" / "edge" / "Caddyfile"
CADDY = Path(sys.executable).parent / "caddy"
Match = tuple[str | None, str | None, str, tuple[str, ...]]
"""Service, method, path and the parameters that must be there."""


def adapted() -> dict:
    """The Caddyfile as JSON by Caddy, with the name of the service in the place of each upstream."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/proc",
        **{f"{name.upper()}_UPSTREAM": f"{name}:80" for name in SERVICES},
    }
    command = [str(CADDY), "adapt", "--config", str(CADDYFILE), "--adapter", "caddyfile"]
    return json.loads(subprocess.run(command, env=environ, capture_output=True, check=True, text=True).stdout)


def upstream(route: dict) -> str | None:
    found = re.search(r'"dial": ?"([a-z]+):80"', json.dumps(route["handle"]))
    return found[1] if found else None


def servers_routes() -> list[dict]:
    """What the server tries in turn: its last route is that of the services."""
    (server,) = adapted()["apps"]["http"]["servers"].values()
    *others, of_services = server["routes"]
    return [*others, *of_services["handle"][0]["routes"]]


def of_the_caddyfile() -> set[Match]:
    routes = [(route, upstream(route)) for route in servers_routes() if upstream(route)]
    return {
        (service, method, path, tuple(sorted(match.get("query", {}))))
        for route, service in routes
        for match in route["match"]
        for path in match["path"]
        for method in match.get("method", [None])
    }


def of_the_chart() -> set[Match]:
    (route,) = [document for document in documents("route") if document["kind"] == "HTTPRoute"]
    found: set[Match] = set()
    for rule in route["spec"]["rules"]:
        service = rule["filters"][0]["urlRewrite"]["hostname"].removesuffix(".zerocart.svc.cluster.local")
        for match in rule["matches"]:
            path = match["path"]["value"] + ("/*" if match["path"]["type"] == "PathPrefix" else "")
            assert path.startswith(("/v1/", "/.well-known/"))
            path = path.removeprefix("/v1")
            query = tuple(each["name"] for each in match.get("queryParams", []) if each["value"] == ".*")
            found.add((service, match.get("method"), path, query))
    return found


def test_the_http_route_and_the_caddyfile_route_alike():
    assert of_the_chart() == of_the_caddyfile()
    assert len(of_the_chart()) > len(SERVICES)


def test_only_requests_about_the_past_and_about_persons_go_to_the_projection():
    paths = {"/orders/*": ("at",), "/persons/*": (), "/users/me/export": ()}
    reads = {
        ("projection", method, path, query) for path, query in paths.items() for method in ("GET", "HEAD", "OPTIONS")
    }
    assert {match for match in of_the_caddyfile() if match[0] == "projection"} == reads
    first = next(upstream(route) for route in servers_routes() if upstream(route))
    assert first == "projection"  # Caddy takes the first that fits: after query's it would never be asked


def test_a_rule_has_no_more_matches_than_a_gateway_allows():
    (route,) = [document for document in documents("route") if document["kind"] == "HTTPRoute"]
    assert len(route["spec"]["rules"]) <= 16
    assert all(len(rule["matches"]) <= 64 for rule in route["spec"]["rules"])


def test_event_endpoints_are_not_routed():
    routed = [
        (method, path) for _, method, path, _ in of_the_caddyfile() if path.startswith(("/events", "/metrics", "/*"))
    ]
    assert sorted(routed) == [(method, "/events") for method in ("GET", "HEAD", "OPTIONS")]


def test_the_edge_demands_a_token_where_the_routes_do():
    edge = yaml.safe_load((CHART / "values.yaml").read_text())["edge"]
    allowed = [(method, path) for each in edge["public"] for method in each["methods"] for path in each["paths"]]
    for route in (route for service in every_service().values() for route in routes_of(service)):
        for method in route.methods or ():
            public = any(method == m and fnmatch(re.sub(r"{\w+}", "x", route.path), path) for m, path in allowed)
            assert public == isinstance(rule_of(route), Anybody | Public), f"{method} {route.path}"


def test_the_edge_has_every_upstream_that_the_caddyfile_uses():
    (edge,) = [d for d in documents("none") if d["kind"] == "Service" and d["metadata"]["name"] == "edge"]
    (container,) = edge["spec"]["template"]["spec"]["containers"]
    given = {each["name"] for each in container["env"]}
    asked = set(re.findall(r"\{\$([A-Z_]+)\}", CADDYFILE.read_text()))
    assert asked
    assert asked <= given


def test_the_caddyfile_exists_once():
    assert (CHART / "files" / "Caddyfile").resolve() == CADDYFILE
    (config,) = [d for d in documents("none") if d["kind"] == "ConfigMap" and d["metadata"]["name"] == "zerocart-edge"]
    assert config["data"]["Caddyfile"].strip() == CADDYFILE.read_text().strip()
