"""From manifests to routes: addresses resolved, one dispatcher per topic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tools.knative_local.delivery.attempts import Schedule
from tools.knative_local.delivery.identity import Identity, Lines, anonymous, audience_of
from tools.knative_local.delivery.trigger import Route
from tools.knative_local.manifests import Delivery, Destination, Filter, Manifests, Trigger, UnsupportedManifestError

__all__ = ["routes_by_topic", "with_erasures"]

ERASED = ("zerocart.users.user.deleted.v1", "zerocart.users.person.erased.v1")
ERASURE_RETRIES = 10


def with_erasures(manifests: Manifests, url: str) -> Manifests:
    """The same, and a Trigger that sends erasures to `url`: the local mail sink deletes the mails of the persons."""
    broker = manifests.brokers[0]
    filters = (Filter("any", {}, tuple(Filter("exact", {"type": type_}) for type_ in ERASED)),)
    delivery = Delivery(retry=ERASURE_RETRIES)
    trigger = Trigger("erasures", broker.namespace, broker.name, filters, Destination(None, None, url), delivery)
    return replace(manifests, triggers=[*manifests.triggers, trigger])


def routes_by_topic(
    manifests: Manifests, base_urls: Mapping[str, str], namespace: str, identity: Identity | None = None
) -> dict[str, Sequence[Route]]:
    """The Triggers of each topic; UnsupportedManifestError if a subscriber or sink has no address here."""
    topics: dict[str, list[Route]] = {broker.topic: [] for broker in manifests.brokers}
    broker_topics = {broker.name: broker.topic for broker in manifests.brokers}
    for trigger in manifests.triggers:
        where = f"Trigger {trigger.name}"
        sink = trigger.delivery.dead_letter_sink
        topics[broker_topics[trigger.broker]].append(
            Route(
                name=trigger.name,
                namespace=namespace,
                filters=tuple(trigger.filters),
                subscriber_url=_url(trigger.subscriber, base_urls, where),
                dead_letter_url=_url(sink, base_urls, where) if sink else None,
                schedule=Schedule.of(trigger.delivery),
                identify=_identify(identity, trigger.subscriber, namespace),
                identify_to_sink=_identify(identity, sink, namespace),
            )
        )
    return {topic: routes for topic, routes in topics.items() if routes}


def _identify(identity: Identity | None, destination: Destination | None, namespace: str) -> Lines:
    if identity is None or destination is None or destination.name is None:
        return anonymous
    return identity.for_audience(audience_of(namespace, destination.name))


def _url(destination: Destination, base_urls: Mapping[str, str], where: str) -> str:
    if destination.kind == "Broker":
        raise UnsupportedManifestError(where, "a Broker as subscriber or sink is not supported")
    try:
        url = destination.url(base_urls)
    except KeyError as error:
        raise UnsupportedManifestError(where, f"no address is known for the service {error}") from error
    if not url.startswith("http://"):
        raise UnsupportedManifestError(where, f"{url}: only plain http is supported")
    return url
