"""The chart's `scheduling`: it reaches every pod, a service may differ, and without it Knative needs no flag."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.architecture.rendered import documents

FIELDS = {"nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "priorityClassName"}


def pods(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pod specs in a document, each with the name of its workload."""
    if isinstance(part, dict):
        template = part.get("template")
        if isinstance(template, dict) and "containers" in template.get("spec", {}):
            yield template["metadata"]["labels"]["app.kubernetes.io/name"], template["spec"]
        for value in part.values():
            yield from pods(value)


def test_scheduling_reaches_every_pod():
    found = dict(pair for document in documents("placed") for pair in pods(document))
    assert {"orders", "edge", "watch", "setup", "build-views"} <= set(found)
    for name, spec in found.items():
        assert spec["nodeSelector"] == {"pool": "shop"}, name
        assert spec["tolerations"] == [{"key": "shop"}], name
        assert spec["affinity"]["nodeAffinity"], name
        assert spec["priorityClassName"] == ("orders" if name == "orders" else "shop"), name
        (constraint,) = spec["topologySpreadConstraints"]
        assert constraint["labelSelector"] == {"matchLabels": {"app.kubernetes.io/name": name}}, name


def test_without_scheduling_no_pod_has_a_field_that_needs_a_flag():
    for document in documents("none"):
        assert [name for name, spec in pods(document) if FIELDS & set(spec)] == []
