"""Every decision has one form, the index names all of them, and references name a decision by its file."""

from __future__ import annotations

import re

import pytest

from tests.architecture.rules import ROOT, text_files

FOLDER = ROOT / "docs" / "decisions"
DECISIONS = sorted(FOLDER.glob("[0-9]*.md"))
STATUS = r"(?:accepted|replaced)(?:[;:] (?:amended|replaced) by .+)?"
FORM = re.compile(
    rf"# (?P<number>\d{{4}}): (?P<title>[A-Z].+[^.])\n\n- Date: (?P<date>\d{{4}}-\d\d-\d\d)\n- Status: (?P<status>{STATUS})\n\n"
    r"## Context\n\n.+?\n\n## Decision\n\n.+?\n\n## Consequences\n\n.+",
    re.S,
)
OUTSIDE = re.compile(r"\b(DESIGN|SPEC|STYLE|knative\.md)\b")
SHORTENED = re.compile(r"docs/decisions/\d{4}(?!-[\w-]+\.md)|\b[Dd]ecisions? \d{4}\b(?!\]\()")


def form_of(text: str) -> re.Match[str]:
    found = FORM.fullmatch(text)
    assert found, "number and title, date, status, context, decision, consequences"
    return found


@pytest.mark.parametrize("file", DECISIONS, ids=lambda file: file.name)
def test_a_decision_has_the_common_form(file):
    assert form_of(file.read_text())["number"] == file.name[:4]
    assert not OUTSIDE.search(file.read_text()), "a decision cites documents of this repository only"


def test_numbers_have_no_gap_and_no_repeat():
    assert [int(file.name[:4]) for file in DECISIONS] == list(range(1, len(DECISIONS) + 1))


def test_the_index_repeats_number_title_date_and_status():
    rows = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+?) \| (.+?) \| (.+?) \|$", (FOLDER / "README.md").read_text(), re.M
    )
    forms = [(file, form_of(file.read_text())) for file in DECISIONS]
    assert rows == [
        (form["number"], file.name, form["title"], form["date"], form["status"].split(";")[0].split(":")[0])
        for file, form in forms
    ]


def test_references_name_the_file_of_a_decision():
    found = {
        str(file.relative_to(ROOT)): SHORTENED.findall(file.read_text())
        for file in text_files()
        if file.suffix != ".sql" and file.name != "test_decisions.py"  # an applied migration must not change
    }
    assert not {name: short for name, short in found.items() if short}


@pytest.mark.parametrize(
    "bad",
    [
        "# 0001: Title\n\n- Date: 2026-11-23\n- Status: accepted\n\n## Context\n\nWhy.\n\n## Decision\n\nThat.\n",
        "# 1. Title\n\n**Context.** Why.\n",
    ],
)
def test_a_decision_in_another_form_is_reported(bad):
    with pytest.raises(AssertionError):
        form_of(bad)
