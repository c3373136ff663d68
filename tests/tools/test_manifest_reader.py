"""The manifests that the local cluster reads, and the fields that it refuses by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.knative_local.delivery.routes import routes_by_topic
from tools.knative_local.manifests import UnsupportedManifestError, read_manifests

BROKER = """\
apiVersion: eventing.knative.dev/v1
kind: Broker
metadata:
  name: default
  annotations:
    eventing.knative.dev/broker.class: Kafka
    kafka.eventing.knative.dev/external.topic: zerocart.events
spec:
  delivery: {retry: 5, backoffDelay: PT1S, deadLetterSink: {uri: "http://operations.default.svc.cluster.local/dead"}}
"""
TRIGGER = """\
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {{name: one, annotations: {{{annotations}}}}}
spec:
  broker: default
  subscriber: {{ref: {{apiVersion: serving.knative.dev/v1, kind: Service, name: orders}}, uri: /events}}
{more}
"""
SERVICE = """\
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: orders}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/max-scale: "3", autoscaling.knative.dev/window: 1m30s}
    spec:
      containerConcurrency: 40
      containers:
        - image: zerocart
          env:
            - {name: SERVICE, value: orders}
            - {name: ZEROCART_DATABASE_URL, valueFrom: {secretKeyRef: {name: database, key: orders}}}
"""
PING = """\
apiVersion: sources.knative.dev/v1
kind: PingSource
metadata: {name: tick}
spec: {schedule: "*/5 * * * *", data: "{}", sink: {ref: {kind: Service, name: scheduler}, uri: /events}}
"""
URLS = {"orders": "http://127.0.0.1:1", "operations": "http://127.0.0.1:2"}


def write(folder: Path, *documents: str) -> Path:
    for number, text in enumerate(documents):
        (folder / f"{number}.yaml").write_text(text)
    return folder


def trigger(annotations: str = "", more: str = "") -> str:
    return TRIGGER.format(annotations=annotations, more=more)


def test_every_field_of_the_manifests_is_read(tmp_path: Path) -> None:
    found = read_manifests(write(tmp_path, trigger(more="  filter: {attributes: {type: t}}"), BROKER, SERVICE, PING))
    (service,) = found.services
    assert (service.max_scale, service.window_seconds, service.container_concurrency) == (3, 90.0, 40)
    assert service.env == {"SERVICE": "orders"}
    assert service.secret_env == {"ZEROCART_DATABASE_URL": "database/orders"}
    assert found.ping_sources[0].schedule == "*/5 * * * *"
    (route,) = routes_by_topic(found, URLS, "ns1")["zerocart.events"]
    assert route.group == "knative-trigger-ns1-one"
    assert route.subscriber_url == "http://127.0.0.1:1/events"
    assert route.dead_letter_url == "http://127.0.0.1:2/dead"
    assert route.schedule.backoff_seconds == 1.0


def test_the_delivery_of_a_trigger_replaces_that_of_the_broker_completely(tmp_path: Path) -> None:
    found = read_manifests(write(tmp_path, BROKER, trigger(more="  delivery: {retry: 1}")))
    delivery = found.triggers[0].delivery
    assert (delivery.retry, delivery.backoff_seconds, delivery.dead_letter_sink) == (1, 0.2, None)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (trigger(more='  filters: [{cesql: "type = 1"}]'), "cesql"),
        (trigger(more='  filters: [{all: [{not: {cesql: "type = 1"}}]}]'), "cesql"),
        (trigger(annotations="kafka.eventing.knative.dev/delivery.order: ordered"), "delivery.order"),
        (trigger(more="  delivery: {retryAfterMax: PT1S}"), "retryAfterMax"),
        (trigger(more="  delivery: {backoffDelay: 1s}"), "backoffDelay"),
        (trigger(more="  delivery: {backoffPolicy: random}"), "backoffPolicy"),
        (trigger().replace("broker: default", "broker: other"), "no Broker other"),
        (PING.replace("sink:", "ceOverrides: {}, sink:"), "ceOverrides"),
        (SERVICE.replace("max-scale", "metric"), "autoscaling.knative.dev/metric"),
        (SERVICE.replace("image: zerocart", "image: zerocart\n          command: [x]"), "command"),
        ("apiVersion: sources.knative.dev/v1\nkind: KafkaSource\nmetadata: {name: s}\n", "KafkaSource"),
    ],
)
def test_unsupported_fields_are_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(UnsupportedManifestError, match=named) as caught:
        read_manifests(write(tmp_path, BROKER, text))
    assert caught.value.where.startswith("1.yaml: ")
