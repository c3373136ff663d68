"""The connections that the production profile may open fit the `max_connections` that docs/runbooks.md asks for."""

from __future__ import annotations

import re

from services.folders import SERVICES
from services.kit.eventstore.group_commit import LANES
from services.kit.eventstore.postgres import READER_CONNECTIONS_MAX, SPARE_CONNECTIONS
from services.projection.versions import CONNECTIONS_MAX
from services.query.snapshots import POOL_CONNECTIONS_MAX
from tests.architecture.rendered import documents
from tests.architecture.rules import ROOT

STORE = LANES + SPARE_CONNECTIONS
PER_PROCESS = {
    **dict.fromkeys(SERVICES, (STORE + 1, 0)),  # one more while it looks for missed events
    "scheduler": (STORE + READER_CONNECTIONS_MAX + 1, 0),
    "operations": (STORE + READER_CONNECTIONS_MAX, 0),
    "webhooks": (STORE + READER_CONNECTIONS_MAX + 1, 0),
    "projection": (READER_CONNECTIONS_MAX, CONNECTIONS_MAX + 1),
    "query": (0, 2 * POOL_CONNECTIONS_MAX + 2),
    "watch": (2, 2),
}
"""To the event store and to the read database, by service; one is for metrics, and one of query for revoked tokens."""


def connections(profile: str) -> tuple[int, int]:
    """The sum for the largest scales of a profile."""
    store = read = 0
    for document in documents(profile):
        name = document["metadata"]["name"]
        if document["kind"] == "Service" and name in PER_PROCESS:
            annotations = document["spec"]["template"]["metadata"]["annotations"]
            processes = int(annotations["autoscaling.knative.dev/max-scale"])
            store, read = store + processes * PER_PROCESS[name][0], read + processes * PER_PROCESS[name][1]
    return store, read


def test_the_guide_tells_the_connections_of_the_production_profile():
    guide = (ROOT / "docs" / "runbooks.md").read_text()
    told = re.search(r"open up to ([\d,]+) connections to the event store and ([\d,]+) to the read\s+database", guide)
    asked = re.search(r"`max_connections = (\d+)` for the event store and `(\d+)` for the read database", guide)
    assert told and asked
    store, read = (int(each.replace(",", "")) for each in told.groups())
    assert (store, read) == connections("values-production.yaml")
    assert store + 20 <= int(asked[1]) and read + 20 <= int(asked[2])  # some for setup, backup and people
