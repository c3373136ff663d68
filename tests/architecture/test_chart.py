"""The manifests are rendered from the chart, are valid with every set of values, and match the files in knative/."""

from __future__ import annotations

import copy
import inspect
import re

import pytest
import yaml

from scripts.helm import CHART, HelmError, helm, render
from scripts.manifests import KNATIVE, manifests
from services.kit.config import kafka_security
from tests.architecture.rendered import PROFILES, WAYS, documents, faults, pods

MEMORY_UNITS = {"Ki": 1, "Mi": 1024, "Gi": 1024**2}


def kibibytes(text: str) -> int:
    return int(text[:-2]) * MEMORY_UNITS[text[-2:]]


def millicores(text: str) -> int:
    return int(text[:-1]) if text.endswith("m") else int(float(text) * 1000)


@pytest.mark.parametrize("profile", PROFILES)
def test_helm_finds_nothing_wrong(profile):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--values", str(CHART / profile))


def test_knative_is_what_the_chart_renders():
    rendered = manifests()
    assert {file.name for file in KNATIVE.glob("*.yaml")} == set(rendered)
    for name, text in rendered.items():
        assert (KNATIVE / name).read_text() == text, f"run make manifests: {name}"


def test_the_namespace_is_the_first_manifest():
    first = min(KNATIVE.glob("*.yaml"))
    assert next(yaml.safe_load_all(first.read_text()))["kind"] == "Namespace"


@pytest.mark.parametrize("way", WAYS)
def test_every_manifest_matches_the_schema_of_its_kind(way):
    assert documents(way)
    assert [fault for document in documents(way) for fault in faults(document)] == []


@pytest.mark.parametrize(
    ("kind", "spoil"),
    [
        ("Service", lambda spec: spec["template"]["spec"].update(hostNetwrok=True)),
        ("Trigger", lambda spec: spec["subscriber"].update(url="x")),
        ("Job", lambda spec: spec["template"]["spec"]["containers"][0].update(imagePullSecret="x")),
        ("NetworkPolicy", lambda spec: spec.update(policyTypes="Ingress")),
        ("PingSource", lambda spec: spec["sink"].update(url="x")),
        ("PodDisruptionBudget", lambda spec: spec.update(maxUnvailable=1)),
    ],
)
def test_the_schemas_refuse_an_unknown_field(kind, spoil):
    document = copy.deepcopy(next(each for each in documents("everything") if each["kind"] == kind))
    assert not list(faults(document))
    spoil(document["spec"])
    assert list(faults(document))


@pytest.mark.parametrize("way", WAYS)
def test_every_container_runs_without_root_and_with_limits(way):
    for document, template in pods(way):
        (container,) = template["spec"]["containers"]
        assert container["securityContext"] == {
            "runAsNonRoot": True,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        }, document["metadata"]["name"]
        asked, allowed = container["resources"]["requests"], container["resources"]["limits"]
        assert 0 < millicores(asked["cpu"]) <= millicores(allowed["cpu"])
        assert 0 < kibibytes(asked["memory"]) <= kibibytes(allowed["memory"])


@pytest.mark.parametrize("way", WAYS)
def test_only_the_scheduler_has_a_token_and_only_for_its_clock(way):
    with_token = {
        document["metadata"]["name"]
        for document, template in pods(way)
        if template["spec"].get("automountServiceAccountToken") is not False
    }
    assert with_token == {"scheduler"}
    (role,) = [document for document in documents(way) if document["kind"] == "Role"]
    assert role["rules"] == [
        {
            "apiGroups": ["sources.knative.dev"],
            "resources": ["pingsources"],
            "resourceNames": ["scheduler-clock"],
            "verbs": ["get", "patch"],
        }
    ]


SCHEDULING = {"nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName"}
"""Allowed where the operator has enabled Knative's flags for them."""


@pytest.mark.parametrize("way", WAYS)
def test_services_use_no_pod_field_that_knative_refuses(way):
    """Knative Serving has fields in its schema that a cluster with the default features refuses."""
    for document, template in pods(way):
        if document["kind"] != "Service":
            continue
        spec = template["spec"]
        assert spec.get("automountServiceAccountToken", False) is False  # Knative refuses true
        asked = SCHEDULING if way == "placed" else set[str]()
        assert set(spec) - asked <= {
            "serviceAccountName", "automountServiceAccountToken", "enableServiceLinks", "imagePullSecrets",
            "containerConcurrency", "timeoutSeconds", "containers", "volumes",
        }  # fmt: skip
        (container,) = spec["containers"]
        assert "add" not in container["securityContext"]["capabilities"]
        assert set(container["readinessProbe"]) == {"httpGet"}  # with a period it would ask once a second at best
        assert set(container["readinessProbe"]["httpGet"]) == {"path"}
        assert 35 <= spec["timeoutSeconds"] <= 600  # also the grace period, of which Knative takes 30 s for draining
        scaling = template["metadata"]["annotations"]
        prefix = "autoscaling.knative.dev/"
        assert 0 <= int(scaling[f"{prefix}min-scale"]) <= int(scaling[f"{prefix}max-scale"])
        assert 6 <= int(scaling[f"{prefix}window"].removesuffix("s")) <= 3600


@pytest.mark.parametrize("way", WAYS)
def test_only_the_edge_is_reachable_from_outside(way):
    services = [document for document in documents(way) if document["kind"] == "Service"]
    inside = {
        each["metadata"]["name"]: each["metadata"]["labels"].get("networking.knative.dev/visibility")
        for each in services
    }
    assert {name for name, visibility in inside.items() if visibility != "cluster-local"} <= {"edge"}


@pytest.mark.parametrize("way", WAYS)
def test_no_trigger_can_lose_an_event(way):
    named = {document["metadata"]["name"] for document in documents(way) if document["kind"] == "Service"}
    senders = [document for document in documents(way) if document["kind"] in ("Trigger", "Broker")]
    assert len(senders) > 1
    for document in senders:
        delivery = document["spec"]["delivery"]
        assert set(delivery) == {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
        assert delivery["retry"] > 0
        assert delivery["deadLetterSink"]["ref"]["name"] in named
        assert delivery["deadLetterSink"]["uri"] == "/events"
        if document["kind"] == "Trigger":
            assert document["metadata"]["annotations"]["kafka.eventing.knative.dev/delivery.order"] == "unordered"
            assert document["spec"]["subscriber"]["ref"]["name"] in named
            assert document["spec"]["subscriber"]["uri"] == "/events"


def test_every_client_of_a_protected_kafka_gets_its_credentials():
    names = {"KAFKA_SECURITY_PROTOCOL", "KAFKA_SASL_MECHANISM", "KAFKA_SASL_USER", "KAFKA_SASL_PASSWORD", "KAFKA_CA"}
    assert names == set(re.findall(r'"(KAFKA_[A-Z_]+)"', inspect.getsource(kafka_security)))
    broker = next(d for d in documents("everything") if d["metadata"]["name"] == "zerocart-broker")
    assert broker["data"]["auth.secret.ref.name"] == "zerocart-kafka"
    for document, template in pods("everything"):
        containers = [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]
        text = str(template["spec"].get("volumes"))
        speaks = any(each["name"] == "KAFKA_BOOTSTRAP_SERVERS" for one in containers for each in one["env"])
        assert {name for name in names if f"'{name}'" in text} == (names if speaks else set()), document["metadata"]


def test_triggers_send_tokens_with_the_audience_of_their_service():
    found = documents("everything")
    services = {d["metadata"]["name"]: d for d in found if d["kind"] == "Service"}
    senders = [d for d in found if d["kind"] in ("Trigger", "PingSource")]
    assert len(senders) > len(services) / 2
    for document in senders:
        kind, name = document["kind"], document["metadata"]["name"]
        to = document["spec"].get("subscriber") or document["spec"]["sink"]
        group = document["apiVersion"].partition("/")[0]
        subject = f"system:serviceaccount:zerocart:{name}-oidc-{group}-{kind.lower()}"
        reached = [to, *([document["spec"]["delivery"]["deadLetterSink"]] if kind == "Trigger" else [])]
        for destination in reached:
            service = destination["ref"]["name"]
            assert destination["audience"] == f"zerocart/{service}"
            assert subject in environment(services[service])["ZEROCART_EVENTS_SUBJECTS"].split(",")
    assert not [d for d in documents("none") if "audience" in str(d.get("spec", ""))]


def environment(document):
    (container,) = document["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


@pytest.mark.parametrize("way", WAYS)
def test_deployments_with_several_pods_lose_one_at_a_time(way):
    budgets = {d["metadata"]["name"]: d["spec"] for d in documents(way) if d["kind"] == "PodDisruptionBudget"}
    several = {}
    for document, template in pods(way):
        if int(template["metadata"].get("annotations", {}).get("autoscaling.knative.dev/min-scale", 0)) > 1:
            several[document["metadata"]["name"]] = template["metadata"]["labels"]
    assert set(budgets) == set(several)
    assert bool(several) == (way in ("values-production.yaml", "everything"))
    for name, budget in budgets.items():
        assert budget["maxUnavailable"] == 1
        assert budget["selector"]["matchLabels"].items() <= several[name].items()
        assert budget["selector"]["matchLabels"]["app.kubernetes.io/name"] == name


@pytest.mark.parametrize(
    ("endpoint", "settings", "ports"),
    [
        ("http://collector.observability:4318", [], [4318]),
        ("http://collector.observability:14318", [], [14318]),
        ("https://otlp.example.com", [], [443]),
        ("http://[fd00::1]:4000", [], [4000]),
        ("http://collector/v1", ["networkPolicy.otlp.ports={1,2}"], [1, 2]),
        ("http://collector/v1", [], [80]),
    ],
)
def test_network_policies_permit_the_port_of_the_trace_collector(endpoint, settings, ports):
    text = render(settings=[f"env.OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}", *settings])
    policy = next(d for d in yaml.safe_load_all(text) if d and d["metadata"]["name"] == "zerocart-traces")
    (egress,) = policy["spec"]["egress"]
    assert [each["port"] for each in egress["ports"]] == ports


def test_an_error_of_helm_is_raised():
    with pytest.raises(HelmError, match="nowhere"):
        render([CHART / "nowhere.yaml"])
