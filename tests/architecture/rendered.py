"""Renders the chart with several sets of values, and checks a document by the schema of its kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from scripts.helm import CHART, render
from scripts.manifests import PLAIN
from tests.architecture.rules import ROOT

Document = dict[str, Any]
DATA = ROOT / "tests" / "architecture" / "data"
PROFILES = sorted(file.name for file in CHART.glob("values-*.yaml"))
WAYS: dict[str, tuple[list[str], list[str]]] = {
    **{profile: ([profile], []) for profile in PROFILES},
    "none": ([], []),
    "everything": (
        [PLAIN.name, "values-production.yaml"],
        [
            "monitoring.dashboards.enabled=true",
            "image.pullSecrets={registry}",
            "identity.enabled=true",
            "env.OTEL_EXPORTER_OTLP_ENDPOINT=http://collector.observability:4318",
            "image.digest=sha256:" + "0" * 64,
            "networkPolicy.postgres.to[0].ipBlock.cidr=10.0.0.0/8",
        ],
    ),
    "placed": (
        [PLAIN.name],
        [
            "monitoring.podMonitor.enabled=true",
            "scheduling.nodeSelector.pool=shop",
            "scheduling.priorityClassName=shop",
            "scheduling.tolerations[0].key=shop",
            "scheduling.topologySpreadConstraints[0].maxSkew=1",
            "scheduling.topologySpreadConstraints[0].topologyKey=topology.kubernetes.io/zone",
            "scheduling.topologySpreadConstraints[0].whenUnsatisfiable=ScheduleAnyway",
            "scheduling.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=1",
            "scheduling.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].key=pool",
            "scheduling.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].operator=Exists",
            "services.orders.scheduling.priorityClassName=orders",
        ],
    ),
    "archived": ([], ["archive.claim=archive", "archive.days=400"]),
    "route": ([], ["edge.kind=httpRoute", "edge.hosts={shop.example.com}"]),
    "without edge": ([], ["edge.kind=none", "networkPolicy.enabled=false"]),
}
POD_MONITOR: Document = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["selector", "podMetricsEndpoints"],
            "properties": {
                "selector": {"type": "object"},
                "podMetricsEndpoints": {"type": "array", "items": {"type": "object", "required": ["port"]}},
            },
            "additionalProperties": False,
        }
    },
}
PROMETHEUS_RULE: Document = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["groups"],
            "properties": {
                "groups": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["name", "rules"],
                        "properties": {"rules": {"type": "array", "items": {"required": ["alert", "expr"]}}},
                    },
                }
            },
            "additionalProperties": False,
        }
    },
}
"""Our own, like that above: the operator's definitions are as large as all others together."""
CRON_JOB: Document = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "spec": {
            "type": "object",
            "required": ["schedule", "jobTemplate"],
            "properties": {
                "schedule": {"type": "string"},
                "timeZone": {"type": "string"},
                "concurrencyPolicy": {"enum": ["Allow", "Forbid", "Replace"]},
                "jobTemplate": {
                    "type": "object",
                    "properties": {"spec": {"$ref": "#/$defs/io.k8s.api.batch.v1.JobSpec"}},
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        }
    },
}
"""Kubernetes' own schema of the Job in it, and by hand the few fields around that."""


def rendered(values: Sequence[str], settings: Sequence[str]) -> list[Document]:
    """The documents that helm renders with these values files and settings."""
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader  # the one in C is ten times as fast
    text = render([CHART / file for file in values], settings)
    return [document for document in yaml.load_all(text, loader) if document]


@cache
def documents(way: str) -> list[Document]:
    """The documents that helm renders with the values of `way`, one of WAYS."""
    return rendered(*WAYS[way])


@cache
def _validators() -> dict[str, Draft202012Validator]:
    known = json.loads((DATA / "schemas.json").read_text())
    operators = {"PodMonitor": POD_MONITOR, "PrometheusRule": PROMETHEUS_RULE}
    kinds = {
        **known["kinds"],
        "batch/v1 CronJob": CRON_JOB,
        **{f"monitoring.coreos.com/v1 {kind}": each for kind, each in operators.items()},
    }
    return {kind: Draft202012Validator({**schema, "$defs": known["$defs"]}) for kind, schema in kinds.items()}


def faults(document: Document) -> Iterator[str]:
    """The faults of a document by the schema of its kind."""
    kind = f"{document.get('apiVersion')} {document.get('kind')}"
    if kind not in _validators():
        yield f"unknown kind {kind}"
        return
    for error in _validators()[kind].iter_errors(document):
        place = ".".join(str(step) for step in error.absolute_path)
        yield f"{kind} {document['metadata']['name']}: {place}: {error.message}"


def pods(way: str) -> Iterator[tuple[Document, Document]]:
    """Every document that makes pods, with its pod template."""
    for document in documents(way):
        if document["kind"] in ("Service", "Job"):
            yield document, document["spec"]["template"]
        elif document["kind"] == "CronJob":
            yield document, document["spec"]["jobTemplate"]["spec"]["template"]
        elif document["kind"] == "JobSink":
            yield document, document["spec"]["job"]["spec"]["template"]
