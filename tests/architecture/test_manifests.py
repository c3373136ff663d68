"""Each service handles the types in its Trigger, and no Trigger can lose an event."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module

import pytest
import yaml

from scripts.helm import CHART
from services.databases import GRANTS
from services.folders import SERVICES
from services.kit.events.handlers import Reactions
from tests.architecture.rules import ROOT
from tools.knative_local.manifests import read_manifests

MANIFESTS = read_manifests(ROOT / "knative")
TRIGGERS = {trigger.subscriber.name: trigger for trigger in MANIFESTS.triggers}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
WITHOUT = {name for name, service in VALUES["services"].items() if not service.get("hears")}
"""Services without a Trigger of their own."""


def handled(service: str) -> set[str]:
    module = import_module(f"services.{service}.reactions")
    if hasattr(module, "TYPES"):
        return set(module.TYPES)
    arguments = [_Anything() for _ in inspect.signature(module.reactions).parameters]
    reactions = module.reactions(*arguments)
    assert isinstance(reactions, Reactions)
    return set(reactions.types)


class _Anything:
    """Stands for adapters that are stored and not called while reactions are composed."""


def named(trigger) -> Iterator[str]:
    for either in trigger.filters:
        assert either.dialect == "any"
        for part in either.parts:
            assert part.dialect == "exact"
            yield part.attributes["type"]


@pytest.mark.parametrize("service", [name for name in SERVICES if name not in WITHOUT])
def test_a_service_handles_the_types_in_its_trigger(service):
    assert set(named(TRIGGERS[service])) == handled(service)


def test_the_values_name_every_service_folder():
    assert set(VALUES["services"]) == set(SERVICES)


def test_the_values_give_a_database_to_the_services_that_have_grants():
    for name, service in VALUES["services"].items():
        assert bool(service.get("database")) is GRANTS[name].in_event_store, name
        assert not service.get("readDatabase") or GRANTS[name].read, name


def test_every_trigger_belongs_to_a_service():
    assert set(TRIGGERS) == set(SERVICES) - WITHOUT


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_scales_to_zero_and_is_cluster_local(service):
    (found,) = [s for s in MANIFESTS.services if s.name == service]
    assert (found.min_scale, found.env["SERVICE"]) == (0, service)
    documents = yaml.safe_load_all((ROOT / "knative" / "services.yaml").read_text())
    labels = {d["metadata"]["name"]: d["metadata"]["labels"] for d in documents}
    assert labels[service]["networking.knative.dev/visibility"] == "cluster-local"


def test_every_trigger_has_a_complete_delivery_of_its_own():
    for document in yaml.safe_load_all((ROOT / "knative" / "triggers.yaml").read_text()):
        delivery = document["spec"]["delivery"]
        assert set(delivery) == {"retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"}
        assert delivery["deadLetterSink"]["ref"]["name"] == "operations"
        annotations = document["metadata"]["annotations"]
        assert annotations["kafka.eventing.knative.dev/delivery.order"] == "unordered"
