"""The Knative objects that the local cluster runs, read from a folder of manifests.

What is not supported is refused with its file, object and name when read, never ignored: a field that is accepted
here either does the same as on a cluster or changes nothing on one machine.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from tools.knative_local.documents import Node, UnsupportedManifestError, read_documents

__all__ = [
    "Broker",
    "Delivery",
    "Destination",
    "Filter",
    "Manifests",
    "PingSource",
    "Service",
    "Trigger",
    "UnsupportedManifestError",
    "read_delivery",
    "read_filters",
    "read_manifests",
]

TIMEOUT_SECONDS_DEFAULT = 600.0
BACKOFF_SECONDS_DEFAULT = 0.2
WINDOW_SECONDS_DEFAULT = 60.0
REQUEST_SECONDS_DEFAULT = 300
EXTERNAL_TOPIC = "kafka.eventing.knative.dev/external.topic"
BROKER_CLASS = "eventing.knative.dev/broker.class"
ORDER = "kafka.eventing.knative.dev/delivery.order"
SCALING = "autoscaling.knative.dev/"
_MAPS = ("exact", "prefix", "suffix")
_LISTS = ("all", "any")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where events go: an object by name, with a path, or an absolute URL."""

    kind: str | None
    name: str | None
    uri: str

    def url(self, base_urls: Mapping[str, str]) -> str:
        """The URL here, given the base URL of each service; KeyError names a service that is not there."""
        if self.name is not None:
            return urljoin(base_urls[self.name].rstrip("/") + "/", self.uri)
        parts = urlsplit(self.uri)
        host = parts.hostname or ""
        if ".svc" in host:
            return base_urls[host.split(".")[0]].rstrip("/") + parts.path
        return self.uri


@dataclass(frozen=True, slots=True)
class Delivery:
    """What happens to an event that its subscriber did not take."""

    retry: int = 0
    exponential: bool = True
    backoff_seconds: float = BACKOFF_SECONDS_DEFAULT
    timeout_seconds: float = TIMEOUT_SECONDS_DEFAULT
    dead_letter_sink: Destination | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter: `exact`, `prefix`, `suffix` compare attributes, `all`, `any`, `not` combine."""

    dialect: str
    attributes: Mapping[str, str]
    parts: Sequence[Filter] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A Knative Service: how its one container is started and scaled; `secret_env` names `secret or config map/key`."""

    name: str
    env: Mapping[str, str]
    secret_env: Mapping[str, str]
    container_concurrency: int
    min_scale: int
    max_scale: int
    window_seconds: float
    timeout_seconds: int


@dataclass(frozen=True, slots=True)
class Broker:
    """A Kafka Broker on a topic that is not its own."""

    name: str
    namespace: str
    topic: str
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Trigger:
    """Who gets which events of a Broker; `delivery` is already resolved against the Broker's."""

    name: str
    namespace: str
    broker: str
    filters: Sequence[Filter]
    subscriber: Destination
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class PingSource:
    """An event on a schedule (cron, in a time zone)."""

    name: str
    namespace: str
    schedule: str
    timezone: str
    content_type: str
    data: bytes
    sink: Destination


@dataclass(frozen=True, slots=True)
class Manifests:
    """The objects in a folder of manifests."""

    services: Sequence[Service]
    brokers: Sequence[Broker]
    triggers: Sequence[Trigger]
    ping_sources: Sequence[PingSource]


BROKER_DELIVERY_DEFAULT = Delivery(retry=10)
"""What the shipped config-br-defaults gives to a Broker without a delivery of its own."""


def read_manifests(folder: Path) -> Manifests:
    """The objects in a folder; UnsupportedManifestError names what would not behave as on a cluster."""
    services: list[Service] = []
    brokers: dict[str, Broker] = {}
    trigger_nodes: list[Node] = []
    sources: list[PingSource] = []
    for node in read_documents(folder):
        match f"{node.text('apiVersion')} {node.text('kind')}":
            case "serving.knative.dev/v1 Service" if _is_edge(node):
                pass  # the local cluster runs the same Caddyfile itself
            case "serving.knative.dev/v1 Service":
                services.append(_service(node))
            case "eventing.knative.dev/v1 Broker":
                broker = _broker(node)
                brokers[broker.name] = broker
            case "eventing.knative.dev/v1 Trigger":
                trigger_nodes.append(node)  # a Broker may stand in a later file
            case "sources.knative.dev/v1 PingSource":
                sources.append(_ping_source(node))
            case "v1 ConfigMap" | "v1 Secret" | "v1 Namespace" | "v1 ServiceAccount":
                pass  # the local cluster has its own broker and secrets
            case "rbac.authorization.k8s.io/v1 Role" | "rbac.authorization.k8s.io/v1 RoleBinding":
                pass  # the local cluster restricts no process
            case "networking.k8s.io/v1 NetworkPolicy":
                pass  # everything here is on the loopback of one machine
            case "batch/v1 Job" | "sinks.knative.dev/v1alpha1 JobSink":
                pass  # the local cluster creates schemas and roles itself, and starts builds of views as children
            case unknown:
                raise node.refuse(f"{unknown} is not supported locally")
    triggers = [_trigger(node, brokers) for node in trigger_nodes]
    return Manifests(services, list(brokers.values()), triggers, sources)


def _spec(node: Node, *known: str) -> Node:
    node.only(("apiVersion", "kind", "metadata", "spec"))
    return node.node("spec").only(known)


def _namespace(node: Node) -> str:
    return node.node("metadata").text("namespace", "default")


def _name(node: Node) -> str:
    return node.node("metadata").text("name")


def _annotations(metadata: Node, *known: str) -> Node:
    """The annotations; an annotation of Knative that is not `known` is an error."""
    annotations = metadata.node("annotations")
    unknown = sorted(name for name in annotations.values if "knative.dev/" in name and name not in known)
    if unknown:
        raise metadata.refuse(f"annotations not supported: {', '.join(unknown)}")
    return annotations


def _is_edge(node: Node) -> bool:
    return node.node("metadata").node("labels").values.get("app.kubernetes.io/component") == "edge"


def _service(node: Node) -> Service:
    _annotations(node.node("metadata"))
    template = _spec(node, "template").node("template").only(("metadata", "spec"))
    used = tuple(f"{SCALING}{name}" for name in ("min-scale", "max-scale", "window"))
    idle = tuple(f"{SCALING}{name}" for name in ("initial-scale", "target-burst-capacity"))
    scaling = _annotations(template.node("metadata"), *used, *idle)
    known = ("containerConcurrency", "timeoutSeconds", "containers", "serviceAccountName", "enableServiceLinks")
    spec = template.node("spec").only((*known, "automountServiceAccountToken", "securityContext", "volumes"))
    containers = spec.nodes("containers")
    if len(containers) != 1:
        raise spec.refuse("exactly one container is supported")
    env, secret_env = _env(containers[0])
    secret_env |= {path: key for volume in spec.nodes("volumes") for path, key in _files(volume)}
    return Service(
        name=_name(node),
        env=env,
        secret_env=secret_env,
        container_concurrency=spec.integer("containerConcurrency", 0),
        min_scale=scaling.integer(f"{SCALING}min-scale", 0),
        max_scale=scaling.integer(f"{SCALING}max-scale", 0),
        window_seconds=scaling.simple_duration_seconds(f"{SCALING}window", WINDOW_SECONDS_DEFAULT),
        timeout_seconds=spec.integer("timeoutSeconds", REQUEST_SECONDS_DEFAULT),
    )


def _env(container: Node) -> tuple[dict[str, str], dict[str, str]]:
    known = ("name", "image", "imagePullPolicy", "env", "ports", "resources", "securityContext")
    container.only((*known, "readinessProbe", "livenessProbe", "volumeMounts"))
    values: dict[str, str] = {}
    secrets: dict[str, str] = {}
    for entry in container.nodes("env"):
        entry.only(("name", "value", "valueFrom"))
        if entry.has("valueFrom"):
            source = entry.node("valueFrom").only(("secretKeyRef", "configMapKeyRef"))
            reference = source.node(next(iter(source.values), "secretKeyRef")).only(("name", "key", "optional"))
            secrets[entry.text("name")] = f"{reference.text('name')}/{reference.text('key')}"
        else:
            values[entry.text("name")] = entry.text("value", "")
    return values, secrets


def _files(volume: Node) -> Iterator[tuple[str, str]]:
    """The secrets in a volume, by file name: here each becomes the environment variable of that name."""
    for source in volume.only(("name", "projected")).node("projected").only(("sources",)).nodes("sources"):
        secret = source.only(("secret",)).node("secret").only(("name", "items", "optional"))
        for item in secret.nodes("items"):
            yield item.only(("key", "path")).text("path"), f"{secret.text('name')}/{item.text('key')}"


def _broker(node: Node) -> Broker:
    annotations = _annotations(node.node("metadata"), BROKER_CLASS, EXTERNAL_TOPIC)
    if annotations.text(BROKER_CLASS) != "Kafka":
        raise node.refuse(f"{BROKER_CLASS} must be Kafka")
    spec = _spec(node, "config", "delivery")
    delivery = read_delivery(spec.node("delivery")) if spec.has("delivery") else BROKER_DELIVERY_DEFAULT
    return Broker(_name(node), _namespace(node), annotations.text(EXTERNAL_TOPIC), delivery)


def _trigger(node: Node, brokers: Mapping[str, Broker]) -> Trigger:
    annotations = _annotations(node.node("metadata"), ORDER)
    if annotations.text(ORDER, "unordered") != "unordered":
        raise node.refuse(f"{ORDER}: only unordered is supported locally, no handler may depend on order")
    spec = _spec(node, "broker", "filter", "filters", "subscriber", "delivery")
    broker = brokers.get(spec.text("broker"))
    if broker is None:
        raise spec.refuse(f"there is no Broker {spec.text('broker')}")
    return Trigger(
        name=_name(node),
        namespace=_namespace(node),
        broker=broker.name,
        filters=read_filters(spec),
        subscriber=_destination(spec.node("subscriber")),
        # the Kafka class takes the Trigger's delivery whole: no field of the Broker's is merged into it
        delivery=read_delivery(spec.node("delivery")) if spec.has("delivery") else broker.delivery,
    )


def read_delivery(node: Node) -> Delivery:
    """A `delivery` as it stands in a Broker or Trigger."""
    node.only(("retry", "backoffPolicy", "backoffDelay", "timeout", "deadLetterSink"))
    policy = node.text("backoffPolicy", "exponential")
    if policy not in ("exponential", "linear"):
        raise node.refuse(f"backoffPolicy {policy!r} is neither exponential nor linear")
    return Delivery(
        retry=node.integer("retry", 0),
        exponential=policy == "exponential",
        backoff_seconds=node.duration_seconds("backoffDelay", BACKOFF_SECONDS_DEFAULT),
        timeout_seconds=node.duration_seconds("timeout", TIMEOUT_SECONDS_DEFAULT) or TIMEOUT_SECONDS_DEFAULT,
        dead_letter_sink=_destination(node.node("deadLetterSink")) if node.has("deadLetterSink") else None,
    )


def read_filters(spec: Node) -> Sequence[Filter]:
    """The filters in force: a `filters` list that is not empty replaces `filter`."""
    if filters := spec.nodes("filters"):
        return [_filter(node) for node in filters]
    attributes = spec.node("filter").only(("attributes",)).node("attributes").texts()
    return [Filter("exact", attributes)] if attributes else []


def _filter(node: Node) -> Filter:
    node.only((*_MAPS, *_LISTS, "not"))  # cesql is refused by its name here
    if len(node.values) != 1:
        raise node.refuse("a filter has exactly one dialect")
    (dialect,) = node.values
    if dialect in _MAPS:
        return Filter(dialect, node.node(dialect).texts())
    parts = node.nodes(dialect) if dialect in _LISTS else [node.node(dialect)]
    return Filter(dialect, {}, [_filter(part) for part in parts])


def _destination(node: Node) -> Destination:
    node.only(("ref", "uri"))
    uri = node.text("uri", "")
    if not node.has("ref"):
        if not urlsplit(uri).hostname:
            raise node.refuse("needs a ref or an absolute uri")
        return Destination(None, None, uri)
    ref = node.node("ref").only(("apiVersion", "kind", "name", "namespace"))
    if ref.text("kind") not in ("Service", "Broker"):
        raise ref.refuse(f"kind {ref.text('kind')} is not supported")
    return Destination(ref.text("kind"), ref.text("name"), uri)


def _ping_source(node: Node) -> PingSource:
    spec = _spec(node, "schedule", "timezone", "contentType", "data", "dataBase64", "sink")
    return PingSource(
        name=_name(node),
        namespace=_namespace(node),
        schedule=spec.text("schedule"),
        timezone=spec.text("timezone", "UTC"),
        content_type=spec.text("contentType", "application/json"),
        data=_decoded(spec) if spec.has("dataBase64") else spec.text("data", "").encode(),
        sink=_destination(spec.node("sink")),
    )


def _decoded(spec: Node) -> bytes:
    try:
        return base64.b64decode(spec.text("dataBase64"), validate=True)
    except binascii.Error as error:
        raise spec.refuse("dataBase64 is not base64") from error
