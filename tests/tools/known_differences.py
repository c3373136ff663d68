"""Where our delivery differs from the recorded cases of the real dispatcher, and why.

A listed case must differ, and only in the named fields; a listed case that does not differ is an error.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Departure:
    fields: frozenset[str]
    reason: str


_NOTE = Departure(
    frozenset({"outcome", "dead_letter", "next_event_delivered", "offset_committed"}),
    "a Kne- header whose name is not letters and digits blocks the event for ever in the real one; here only that "
    "header is left out, and the event becomes a dead letter",
)

DEPARTURES: dict[str, Departure] = {
    "kne-hyphen-name-unordered": _NOTE,
    "kne-underscore-name": _NOTE,
}

BESIDE_THE_CASES = (
    "A group without committed offsets starts at the beginning of the topic; on a cluster a new Trigger starts at the "
    "end. Locally the topic is made with the state folder, so there is no history that a Trigger should not see.",
    "SIGTERM finishes the requests that are open and commits; the real one drops both.",
    "What the real one discards because it throws (a header with a null value, a prefix or suffix filter on an absent "
    "subject or datacontenttype) is discarded here too, so that it is noticed before it happens on a cluster, but it "
    "is counted, logged and listed in the status, and nothing hangs afterwards.",
    "A connection idle for 2 s is not used again, so that a request does not meet a closing "
    "server (uvicorn closes after 5 s).",
    "user-agent is zerocart-delivery.",
    "At most 50 events of a Trigger are in flight; the real one was seen at 71 to 80.",
    "The topic is read once for all Triggers; a Trigger that falls behind reads for itself until it is level.",
    "Ordered delivery, CESQL and KafkaSource are refused when the manifest is read.",
)
