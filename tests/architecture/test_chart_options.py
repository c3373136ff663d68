"""The options of the chart: names of Jobs, own addresses and certificates, images that exist on the node only."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from scripts.helm import CHART, HelmError, render
from scripts.manifests import PLAIN
from tests.architecture.rendered import documents, faults, rendered

Document = dict[str, Any]
SKIPPED_REGISTRY = "dev.local/"
"""Knative resolves the tags of every registry but these (ConfigMap config-deployment, as shipped)."""


def of_kind(kind: str, *settings: str, values: str = PLAIN.name) -> list[Document]:
    return [each for each in rendered([values], settings) if each["kind"] == kind]


def setup_name(*settings: str, values: str = PLAIN.name) -> str:
    (job,) = of_kind("Job", *settings, values=values)
    return job["metadata"]["name"]


@pytest.mark.parametrize(
    "setting",
    [
        "image.tag=0.2.0",
        "kafka.bootstrapServers=elsewhere:9092",
        "kafka.topic.partitions=12",
        "secrets.name=another",
        "defaults.resources.limits.memory=300Mi",
    ],
)
def test_a_changed_setup_job_has_another_name(setting):
    assert setup_name() == setup_name() == setup_name("clock.schedule=5 * * * *")
    assert setup_name(setting) != setup_name()


def test_the_setup_job_of_a_helm_hook_keeps_its_name():
    hooked = [
        setup_name(setting, values="values-production.yaml") for setting in ("image.tag=0.1.1", "image.tag=0.1.2")
    ]
    assert hooked == ["setup", "setup"]


def test_setup_keeps_the_log_of_every_attempt():
    (job,) = [each for each in documents("none") if each["kind"] == "Job"]
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_a_service_gets_the_files_of_its_config_map():
    (service,) = [
        each
        for each in of_kind("Service", "services.notifications.files=shop-mails")
        if each["metadata"]["name"] == "notifications"
    ]
    spec = service["spec"]["template"]["spec"]
    assert {"name": "files", "configMap": {"name": "shop-mails"}} in spec["volumes"]
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "files"]
    assert (mount["mountPath"], mount["readOnly"]) == ("/etc/zerocart", True)


def test_setup_gets_urls_and_no_key():
    (job,) = [each for each in documents("everything") if each["kind"] == "Job"]
    (volume,) = [each for each in job["spec"]["template"]["spec"]["volumes"] if each["name"] == "secrets"]
    sources = [each["secret"] for each in volume["projected"]["sources"]]
    assert all(source.get("items") for source in sources)
    of_the_services = [item["key"] for item in sources[0]["items"]]
    assert {key for key in of_the_services if not key.endswith("database-url")} == {"postgres-ca.crt"}
    used = {
        item["key"]
        for each in documents("everything")
        if each["kind"] == "Service"
        for volume in each["spec"]["template"]["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", ())
        for item in source.get("secret", {}).get("items", ())
        if item["key"].endswith("database-url")
    }
    assert set(of_the_services) - {"postgres-ca.crt"} == used


def test_an_http_route_removes_the_client_address_header_of_clients():
    (route,) = [each for each in documents("route") if each["kind"] == "HTTPRoute"]
    for rule in route["spec"]["rules"]:
        removed = [name for each in rule["filters"] for name in each.get("requestHeaderModifier", {}).get("remove", ())]
        assert removed == ["X-Client-Ip"]


def test_the_trusted_proxies_of_the_edge_can_be_set():
    (edge,) = [
        each
        for each in of_kind("Service", "edge.trustedProxies=10.0.0.0/8 100.64.0.0/10")
        if each["metadata"]["name"] == "edge"
    ]
    (container,) = edge["spec"]["template"]["spec"]["containers"]
    assert {"name": "EDGE_TRUSTED_PROXIES", "value": "10.0.0.0/8 100.64.0.0/10"} in container["env"]


def test_hosts_may_have_a_certificate():
    hosts = "edge.hosts={shop.example.com,www.example.com}"
    assert [each["spec"].get("tls") for each in of_kind("DomainMapping", hosts)] == [None, None]
    with_tls = [each["spec"]["tls"] for each in of_kind("DomainMapping", hosts, "edge.tlsSecret=shop-tls")]
    assert with_tls == [{"secretName": "shop-tls"}] * 2


def test_images_on_the_node_are_not_pulled():
    for each in of_kind("Service", values="values-development.yaml"):
        (container,) = each["spec"]["template"]["spec"]["containers"]
        assert container["imagePullPolicy"] == "Never"
        assert container["image"].startswith(SKIPPED_REGISTRY)


@pytest.mark.parametrize("name", ["services.query", "edge", "services.scheduler"])
def test_a_minimum_scale_above_the_maximum_is_refused(name):
    with pytest.raises(HelmError, match=r"scale\.min is 30"):
        render(settings=[f"{name}.scale.min=30"])


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("defaults.resources.requests.memory=1Gi", "resources.requests.memory is 1Gi"),
        ("defaults.resources.limits.cpu=20m", "resources.limits.cpu is 20m"),
        ("services.query.resources.limits.memory=65536Ki", "query: resources.requests.memory is 96Mi"),
        ("edge.resources.requests.cpu=1.5", "edge: resources.requests.cpu is 1.5"),
    ],
)
def test_a_request_above_its_limit_is_refused(setting, told):
    with pytest.raises(HelmError, match=told):
        render(settings=[setting])


NUMBERS = """
secrets: {name: "101", owner: "102"}
kafka: {authSecret: "103", topic: {name: "1e5"}}
archive: {claim: "104", days: 400}
image: {pullSecrets: ["105"]}
edge: {hosts: ["106"], tlsSecret: "107"}
services: {scheduler: {serviceAccount: "108"}, notifications: {files: "109"}}
monitoring: {podMonitor: {enabled: true, namespace: "110"}}
"""


def test_a_name_that_looks_like_a_number_stays_a_text(tmp_path):
    values = tmp_path / "numbers.yaml"
    values.write_text(NUMBERS)
    found = [each for each in yaml.safe_load_all(render([CHART / PLAIN.name, values])) if each]
    assert [fault for each in found for fault in faults(each)] == []
    (broker,) = [each for each in found if each["kind"] == "Broker"]
    assert broker["metadata"]["annotations"]["kafka.eventing.knative.dev/external.topic"] == "1e5"


@pytest.mark.parametrize(
    "setting",
    [
        "services.orders.hear={a}",
        "services.order.database=true",
        "delivery.retry=0",
        "defaults.timeoutSeconds=10",
        "defaults.scale.window=5s",
        "edge.trustedProxies=anybody",
        "image.digest=latest",
        "image.tag=a b",
        "image.repository=ghcr.io/zerocart/Zero Cart",
        "image.repository=ghcr.io/zerocart/zerocart:1.0",
        "edge.image.repository=https://ghcr.io/zerocart/edge",
        "delivery.backoffDelay=PT0S",
        "delivery.timeout=PT",
        "clock.schedule=every hour at seventeen past",
        "archive.schedule=every night",
        "env.K_SERVICE=orders",
        "services.orders.env.ZEROCART_TOPIC=other",
        "edge.image.tag=a:b",
        "networkPolicy.kafka.to[0].cidr=10.0.0.0/8",
        "networkPolicy.dns.cidrs={169.254.20.10}",
        "unknown=1",
    ],
)
def test_unknown_values_are_refused(setting):
    with pytest.raises(HelmError, match="schema"):
        render(settings=[setting])
