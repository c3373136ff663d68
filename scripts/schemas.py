"""Makes strict JSON schemas, by which a test checks the manifests, from the sources of Kubernetes and its extensions.

`python -m scripts.schemas KUBERNETES SERVING EVENTING GATEWAY-API` reads their unpacked sources (Go modules) and writes
tests/architecture/data/schemas.json: the kinds we use, without descriptions and status. Unknown fields are refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

import yaml

__all__ = ["strict"]

SCHEMAS = Path(__file__).parent.parent / "tests" / "architecture" / "data" / "schemas.json"
NATIVE = {
    "api__v1": ("Namespace", "ConfigMap", "ServiceAccount"),
    "apis__batch__v1": ("Job",),
    "apis__networking.k8s.io__v1": ("NetworkPolicy",),
    "apis__policy__v1": ("PodDisruptionBudget",),
    "apis__rbac.authorization.k8s.io__v1": ("Role", "RoleBinding"),
}
SERVING = ("config/core/300-resources/service.yaml", "config/core/300-resources/domain-mapping.yaml")
EVENTING = tuple(f"config/core/resources/{name}.yaml" for name in ("broker", "trigger", "pingsource", "jobsink"))
GATEWAY = tuple(
    f"config/crd/standard/gateway.networking.k8s.io_{name}s.yaml" for name in ("httproute", "referencegrant")
)
KEPT = {
    "type", "properties", "required", "items", "additionalProperties", "enum", "pattern", "oneOf", "anyOf", "allOf",
    "$ref", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "nullable",
    "x-kubernetes-preserve-unknown-fields", "x-kubernetes-int-or-string",
}  # fmt: skip
META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"

JOB_SINK = "sinks.knative.dev/v1alpha1 JobSink"
JOB: dict[str, object] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["spec"],
    "properties": {"metadata": {"$ref": f"#/$defs/{META}"}, "spec": {"$ref": "#/$defs/io.k8s.api.batch.v1.JobSpec"}},
}
"""The schema of the Job in a JobSink; Knative's own definition of it permits any object."""

Schema = dict[str, object]


def strict(schema: Mapping[str, object]) -> Schema:
    """The schema without the parts that do not validate; an object that declares fields refuses all others."""
    kept: Schema = {}
    for key, value in schema.items():
        if key == "properties":
            kept[key] = {name: strict(inner) for name, inner in cast("dict[str, Schema]", value).items()}
        elif key in ("oneOf", "anyOf", "allOf"):
            kept[key] = [strict(inner) for inner in cast("list[Schema]", value)]
        elif key in ("items", "additionalProperties") and isinstance(value, dict):
            kept[key] = strict(cast("Schema", value))
        elif key in KEPT:
            kept[key] = value
    return _closed(kept)


def _closed(kept: Schema) -> Schema:
    free = kept.pop("x-kubernetes-preserve-unknown-fields", False)
    if kept.pop("x-kubernetes-int-or-string", False):
        kept["type"] = ["integer", "string"]
    if kept.pop("nullable", False) and isinstance(kept.get("type"), str):
        kept["type"] = [kept["type"], "null"]
    if "properties" in kept and "additionalProperties" not in kept and not free:
        kept["additionalProperties"] = False
    return kept


def _native(folder: Path) -> Iterator[tuple[str, Schema, Mapping[str, Schema]]]:
    for file, kinds in NATIVE.items():
        document = json.loads((folder / "api" / "openapi-spec" / "v3" / f"{file}_openapi.json").read_text())
        components: dict[str, Schema] = document["components"]["schemas"]
        for schema in components.values():
            for known in cast("list[dict[str, str]]", schema.get("x-kubernetes-group-version-kind", [])):
                if known["kind"] in kinds and "items" not in cast("Schema", schema["properties"]):
                    version = "/".join(filter(None, (known["group"], known["version"])))
                    yield f"{version} {known['kind']}", schema, components


def _extensions(files: Iterator[Path]) -> Iterator[tuple[str, Schema]]:
    for file in files:
        definition = yaml.safe_load(file.read_text())["spec"]
        for version in definition["versions"]:
            name = f"{definition['group']}/{version['name']} {definition['names']['kind']}"
            yield name, version["schema"]["openAPIV3Schema"]


def _without_status(schema: Schema) -> Schema:
    properties = cast("dict[str, Schema]", schema["properties"])
    properties.pop("status", None)
    properties |= {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": f"#/$defs/{META}"},
    }
    return {**schema, "required": ["apiVersion", "kind", "metadata"]}


def _with_job(job_sink: Schema) -> Schema:
    properties = cast("dict[str, Schema]", job_sink["properties"])
    spec = {**properties["spec"], "properties": {"job": JOB}, "required": ["job"]}
    return {**job_sink, "properties": {**properties, "spec": spec}}


def _definitions(schema: object, components: Mapping[str, Schema], found: dict[str, object]) -> None:
    """Add the schemas that this schema refers to, directly or through others, to `found`."""
    if isinstance(schema, list):
        for inner in cast("list[object]", schema):
            _definitions(inner, components, found)
    elif isinstance(schema, dict):
        node = cast("Schema", schema)
        reference = node.get("$ref")
        if isinstance(reference, str):
            name = reference.rpartition("/")[2]
            node["$ref"] = f"#/$defs/{name}"
            if name not in found:
                found[name] = inner = strict(components[name])
                _definitions(inner, components, found)
        for inner in node.values():
            _definitions(inner, components, found)


def main() -> None:
    """Write the schemas of all kinds into one file."""
    kubernetes, serving, eventing, gateway = map(Path, sys.argv[1:])
    kinds: dict[str, object] = {}
    definitions: dict[str, object] = {}
    for name, schema, components in _native(kubernetes):
        kinds[name] = closed = _without_status(strict(schema))
        _definitions(closed, components, definitions)
    parts = ((serving, SERVING), (eventing, EVENTING), (gateway, GATEWAY))
    for name, schema in _extensions(folder / file for folder, files in parts for file in files):
        kinds[name] = _without_status(strict(schema))
    kinds[JOB_SINK] = _with_job(cast("Schema", kinds[JOB_SINK]))
    text = json.dumps({"kinds": kinds, "$defs": definitions}, separators=(",", ":"), sort_keys=True)
    SCHEMAS.write_text(text + "\n")


if __name__ == "__main__":
    main()
