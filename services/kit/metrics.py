"""Counters and histograms that cost nothing at start-up: prometheus_client is imported at the first scrape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["DURATION_BUCKETS_SECONDS", "METRICS", "Metrics"]

DURATION_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

Labels = tuple[tuple[str, str], ...]


class Metrics:
    """What a process has counted since it started; labels never hold an id."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = defaultdict(lambda: defaultdict(float))
        self._histograms: dict[str, dict[Labels, list[float]]] = defaultdict(dict)
        self._gauges: dict[str, Callable[[], float]] = {}

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to the counter `name` (without the `_total` that it is exported with)."""
        self._counters[name][tuple(sorted(labels.items()))] += by

    def observe_seconds(self, name: str, seconds: float, **labels: str) -> None:
        """Add one duration to the histogram `name`."""
        key = tuple(sorted(labels.items()))
        cells = self._histograms[name].setdefault(key, [0.0] * (len(DURATION_BUCKETS_SECONDS) + 2))
        slot = next((i for i, bound in enumerate(DURATION_BUCKETS_SECONDS) if seconds <= bound), -2)
        cells[slot] += 1
        cells[-1] += seconds

    def gauge(self, name: str, read: Callable[[], float]) -> None:
        """Export what `read` answers at the time of a scrape."""
        self._gauges[name] = read

    def value(self, name: str, **labels: str) -> float:
        """What the counter `name` stands at."""
        return self._counters[name][tuple(sorted(labels.items()))]

    def render(self) -> bytes:
        """All of it in the Prometheus text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """What prometheus_client asks a collector for."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, cells in self._counters.items():
            family = CounterMetricFamily(f"zerocart_{name}", name.replace("_", " "), labels=_names(cells))
            for labels, value in cells.items():
                family.add_metric([value for _, value in labels], value)
            yield family
        for name, series in self._histograms.items():
            family = HistogramMetricFamily(f"zerocart_{name}_seconds", name.replace("_", " "), labels=_names(series))
            for labels, buckets in series.items():
                family.add_metric([value for _, value in labels], _cumulative(buckets), sum_value=buckets[-1])
            yield family
        for name, read in self._gauges.items():
            yield GaugeMetricFamily(f"zerocart_{name}", name.replace("_", " "), value=read())


def _names(series: Iterable[Labels]) -> list[str]:
    return [name for name, _ in next(iter(series), ())]


def _cumulative(cells: list[float]) -> list[tuple[str, float]]:
    total = 0.0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip([*map(str, DURATION_BUCKETS_SECONDS), "+Inf"], cells, strict=False):
        total += count
        buckets.append((bound, total))
    return buckets


METRICS = Metrics()
"""The process's own; services count business facts here too."""
