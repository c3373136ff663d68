"""The chart is the one source of the manifests: it is sound in every profile, and knative/ is what it renders."""

from __future__ import annotations

import pytest

from scripts.helm import CHART, HelmError, helm, render
from scripts.manifests import KNATIVE, manifests

PROFILES = sorted(file.name for file in CHART.glob("values-*.yaml"))


@pytest.mark.parametrize("profile", PROFILES)
def test_helm_finds_nothing_wrong(profile):
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), "--values", str(CHART / profile))


def test_knative_is_what_the_chart_renders():
    rendered = manifests()
    assert {file.name for file in KNATIVE.glob("*.yaml")} == set(rendered)
    for name, text in rendered.items():
        assert (KNATIVE / name).read_text() == text, f"run make manifests: {name}"


def test_what_helm_refuses_is_an_error():
    with pytest.raises(HelmError, match="nowhere"):
        render([CHART / "nowhere.yaml"])
