"""Alert rules and dashboard are valid; tests/e2e/test_watching.py shows that their metrics exist."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from scripts.promtool import found, promtool
from tests.architecture.rendered import documents
from tests.architecture.rules import ROOT
from tools.zerocart.cli import COMMANDS

PROMETHEUS = ROOT / "docker" / "prometheus"
RULES = PROMETHEUS / "rules" / "zerocart.yaml"
GRAFANA = ROOT / "docker" / "grafana"
DASHBOARD = GRAFANA / "dashboards" / "zerocart.json"
CHECKS = {
    "rules": ("check", "rules", "--lint-fatal", str(RULES)),
    "tests of the rules": ("test", "rules", str(PROMETHEUS / "tests" / "zerocart.yaml")),
    "configuration": ("check", "config", "--syntax-only", str(PROMETHEUS / "prometheus.yml")),
}


def the_program():
    program = found()
    if program is None:
        pytest.skip("there is no promtool: `make promtool` builds it, which takes minutes and needs Go")
    return program


@pytest.mark.parametrize("check", CHECKS)
def test_promtool_accepts_the_rules_and_their_tests_pass(check):
    status, said = promtool(the_program(), *CHECKS[check])
    assert status == 0, said


def test_promtool_understands_every_query_of_the_dashboard(tmp_path):
    queries = [
        target["expr"].replace("$__rate_interval", "5m")
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        for target in panel.get("targets", ())
    ]
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    rules = tmp_path / "queries.yaml"
    rules.write_text(json.dumps({"groups": [{"name": "panels", "rules": recorded}]}))
    status, said = promtool(the_program(), "check", "rules", str(rules))
    assert status == 0, said
    assert f"{len(queries)} rules found" in said


def test_promtool_reports_a_wrong_rule(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(RULES.read_text().replace("> 0", "> > 0", 1))
    status, _ = promtool(the_program(), "check", "rules", str(wrong))
    assert status != 0


def test_the_chart_has_the_same_rules_and_dashboard():
    everything = documents("everything")
    (rules,) = [each for each in everything if each["kind"] == "PrometheusRule"]
    assert rules["spec"] == yaml.safe_load(RULES.read_text())
    (config,) = [each for each in everything if each["metadata"]["name"] == "dashboard-zerocart"]
    assert json.loads(config["data"]["zerocart.json"]) == json.loads(DASHBOARD.read_text())


def test_prometheus_scrapes_no_service_that_sleeps():
    everything = documents("everything")
    (monitor,) = [each for each in everything if each["kind"] == "PodMonitor"]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    asked = [
        each
        for each in everything
        if each["kind"] == "Service" and wanted <= each["spec"]["template"]["metadata"]["labels"].items()
    ]
    assert [each["metadata"]["name"] for each in asked] == ["watch"]
    scaling = asked[0]["spec"]["template"]["metadata"]["annotations"]
    assert scaling["autoscaling.knative.dev/min-scale"] == "1"


def test_every_panel_uses_the_configured_prometheus():
    dashboard = json.loads(DASHBOARD.read_text())
    (source,) = dashboard["templating"]["list"]
    assert (source["name"], source["type"], source["query"]) == ("source", "datasource", "prometheus")
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}, panel["title"]
    given = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert [(each["type"], each["isDefault"]) for each in given] == [("prometheus", True)]
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert given[0]["url"] == "http://prometheus:9090" and "prometheus" in compose
    (provider,) = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "zerocart.yaml").read_text())["providers"]
    assert f"./docker/grafana/dashboards:{provider['options']['path']}:ro" in compose["grafana"]["volumes"]


def test_every_panel_has_a_place_and_a_description():
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [panel for panel in panels if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["title"] and panel["targets"] for panel in shown)
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))


RUNBOOK = ROOT / "docs" / "runbooks.md"
ALERTS = {rule["alert"]: rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]}
FROM_EXPORTERS = {
    "up", "kafka_consumergroup_lag", "kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes",
    "certmanager_certificate_expiration_timestamp_seconds",
}  # fmt: skip
"""Of Prometheus itself, kafka_exporter, the kubelet and cert-manager."""


def test_each_alert_has_its_section_in_the_runbook():
    sections = re.split(r"^### ", RUNBOOK.read_text().partition("\n## Alerts")[2].partition("\n## ")[0], flags=re.M)
    assert [section.partition("\n")[0] for section in sections[1:]] == list(ALERTS)
    for section in sections[1:]:
        name = section.partition("\n")[0]
        assert re.findall(r"^\*\*(Meaning\.|Look at|Do\.)\*\*", section, flags=re.M) == [
            "Meaning.",
            "Look at",
            "Do.",
        ], name
        assert ALERTS[name]["annotations"]["runbook_url"].endswith(f"/docs/runbooks.md#{name.lower()}")


def test_each_alert_has_a_case_in_the_tests_of_the_rules():
    cases = yaml.safe_load((PROMETHEUS / "tests" / "zerocart.yaml").read_text())["tests"]
    fired = {case["alertname"] for each in cases for case in each["alert_rule_test"] if case["exp_alerts"]}
    assert fired == set(ALERTS)


def test_alerts_and_runbook_name_only_routes_of_the_edge():
    paths = json.loads((ROOT / "docker" / "edge" / "openapi.json").read_text())["paths"]
    for file in (RULES, RUNBOOK):
        named = re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/[a-z_{}/-]*)", file.read_text())
        assert named
        assert [(method, path) for method, path in named if method.lower() not in paths.get(path, {})] == []


def test_the_runbook_names_only_commands_that_exist():
    named = set(re.findall(r"`zerocart ([a-z-]+)", RUNBOOK.read_text()))
    assert named and named <= set(COMMANDS)


def test_rules_ask_for_no_metric_of_an_unknown_origin():
    """That each `zerocart_` metric exists is shown by tests/e2e/test_watching.py."""
    asked = {
        name
        for rule in ALERTS.values()
        for name in re.findall(
            r"\b([a-z]+_[a-z_]+|up)\b(?=[{\[) ])", re.sub(r'"[^"]*"|by \([^)]*\)', '""', rule["expr"])
        )
    }
    assert {name for name in asked if not name.startswith("zerocart_")} - {"histogram_quantile"} <= FROM_EXPORTERS
    assert len([name for name in asked if name.startswith("zerocart_")]) > 10
