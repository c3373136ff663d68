"""Counters and histograms that cost nothing at start-up: prometheus_client is imported at the first scrape."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = [
    "CELLS", "COUNTER", "DURATION_BUCKETS_SECONDS", "MEDIA_TYPE", "METRICS", "Cell", "Metrics", "families", "text",
]  # fmt: skip

DURATION_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CELLS = len(DURATION_BUCKETS_SECONDS) + 2
"""One for each bucket, one for longer durations, and one for the sum."""
COUNTER = -1
"""The slot of a counter; those of a histogram are 0 and up."""

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""That of the Prometheus text format."""
Labels = tuple[tuple[str, str], ...]


class Cell(NamedTuple):
    """One number: of a counter, or a cell of a histogram; `labels` is a JSON object."""

    name: str
    labels: str
    slot: int
    value: float


class Metrics:
    """The metrics of a process since its start; labels never hold an id."""

    def __init__(self) -> None:
        self._cells: dict[tuple[str, Labels, int], float] = defaultdict(float)
        self._taken: dict[tuple[str, Labels, int], float] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to the counter `name` (without the `_total` that it is exported with)."""
        self._cells[name, tuple(sorted(labels.items())), COUNTER] += by

    def observe_seconds(self, name: str, seconds: float, **labels: str) -> None:
        """Add one duration to the histogram `name`."""
        key = tuple(sorted(labels.items()))
        slot = next((i for i, bound in enumerate(DURATION_BUCKETS_SECONDS) if seconds <= bound), CELLS - 2)
        self._cells[name, key, slot] += 1
        self._cells[name, key, CELLS - 1] += seconds

    def value(self, name: str, **labels: str) -> float:
        """The value of the counter `name`."""
        return self._cells.get((name, tuple(sorted(labels.items())), COUNTER), 0.0)

    def take(self) -> list[Cell]:
        """The counts since the last call."""
        now = dict(self._cells)
        grown = [(key, value - self._taken.get(key, 0.0)) for key, value in now.items()]
        self._taken = now
        return [Cell(name, _json(labels), slot, by) for (name, labels, slot), by in grown if by]

    def render(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return text(families(Cell(name, _json(key), slot, v) for (name, key, slot), v in self._cells.items()))


def text(metrics: Iterable[Metric]) -> bytes:
    """Metrics in the Prometheus text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Iterable[Metric]:
            return metrics

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry)


def families(cells: Iterable[Cell]) -> Iterable[Metric]:
    """Cells as what prometheus_client exports; the same name and labels twice are added up."""
    series: dict[tuple[str, bool], dict[str, dict[int, float]]] = defaultdict(dict)
    for name, labels, slot, value in cells:
        slots = series[name, slot == COUNTER].setdefault(labels, {})
        slots[slot] = slots.get(slot, 0.0) + value
    for (name, is_counter), of_labels in sorted(series.items()):
        yield (_counter if is_counter else _histogram)(name, of_labels)


def _counter(name: str, series: Mapping[str, Mapping[int, float]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    names = _label_names(series)
    family = CounterMetricFamily(f"zerocart_{name}", name.replace("_", " "), labels=names)
    for labels, slots in series.items():
        family.add_metric(_label_values(names, labels), slots[COUNTER])
    return family


def _histogram(name: str, series: Mapping[str, Mapping[int, float]]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    names = _label_names(series)
    family = HistogramMetricFamily(f"zerocart_{name}_seconds", name.replace("_", " "), labels=names)
    for labels, slots in series.items():
        family.add_metric(_label_values(names, labels), _cumulative(slots), sum_value=slots.get(CELLS - 1, 0.0))
    return family


def _label_names(series: Iterable[str]) -> list[str]:
    return sorted({name for labels in series for name in json.loads(labels)})


def _label_values(names: Iterable[str], labels: str) -> list[str]:
    found: dict[str, str] = json.loads(labels)
    return [found.get(name, "") for name in names]


def _cumulative(slots: Mapping[int, float]) -> list[tuple[str, float]]:
    total = 0.0
    buckets: list[tuple[str, float]] = []
    for slot, bound in enumerate([*map(str, DURATION_BUCKETS_SECONDS), "+Inf"]):
        total += slots.get(slot, 0.0)
        buckets.append((bound, total))
    return buckets


def _json(labels: Labels) -> str:
    return json.dumps(dict(labels))


METRICS = Metrics()
"""The metrics of this process; services count business facts here, too."""
