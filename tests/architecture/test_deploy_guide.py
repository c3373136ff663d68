"""docs/deploy.md names files, values, keys and commands that exist."""

from __future__ import annotations

import re

import pytest
import yaml

from scripts.helm import CHART, render
from scripts.manifests import KNATIVE
from tests.architecture.rules import ROOT

GUIDE = (ROOT / "docs" / "deploy.md").read_text()
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
ROOTS = "identity|image|edge|kafka|networkPolicy|monitoring|secrets|services|env|setup|clock"


def test_the_files_that_the_guide_names_exist():
    named = re.findall(r"(?<![\w/.])(?:charts/zerocart|docker|scripts|knative|docs)/[\w./-]*\w", GUIDE)
    assert len(named) > 3
    assert not [name for name in named if not (ROOT / name).exists()]
    assert not [name for name in re.findall(r"build/knative/([\w-]+\.yaml)", GUIDE) if not (KNATIVE / name).exists()]


def test_the_values_that_the_guide_names_exist():
    named = [
        name
        for name in re.findall(rf"`((?:{ROOTS})(?:\.\w+)+)", GUIDE)
        if not name.endswith(".yaml") and not name.startswith(("services.NAME", "services.setup"))
    ]
    assert len(named) > 8
    for name in named:
        found = VALUES
        for step in name.split("."):
            assert step in found, name
            found = found[step]


def test_the_chart_accepts_the_example_values(tmp_path):
    (example,) = re.findall(r"```yaml\n(.*?)```", GUIDE, re.S)
    file = tmp_path / "my-values.yaml"
    file.write_text(example)
    text = render([CHART / "values-production.yaml", file])
    assert "registry.example.com/zerocart:0.1.0" in text
    assert "registry.example.com/zerocart-edge:0.1.0" in text


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"^make ([\w-]+)", GUIDE, re.M))))
def test_the_make_verbs_that_the_guide_uses_exist(verb):
    assert re.search(rf"^{verb}:", (ROOT / "Makefile").read_text(), re.M)
