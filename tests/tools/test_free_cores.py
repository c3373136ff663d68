"""The local cluster knows whether a core is free, without which it starts no second process of a service."""

from __future__ import annotations

import os
from pathlib import Path

from tools.knative_local.free_cores import SAMPLE_SECONDS, FreeCores, idle_seconds


class Machine:
    """A clock, and the idle time of two cores, of which `idle_cores` have no work."""

    def __init__(self) -> None:
        self.at = 0.0
        self.idle = 0.0

    def go_on(self, seconds: float, idle_cores: float) -> None:
        self.at += seconds
        self.idle += seconds * idle_cores


def test_core_is_free_if_half_a_core_was_idle_in_the_last_period() -> None:
    machine = Machine()
    cores = FreeCores(lambda: machine.idle, lambda: machine.at)
    for idle_cores, exist in ((0.1, False), (0.6, True), (0.0, False), (2.0, True)):
        machine.go_on(SAMPLE_SECONDS, idle_cores)
        cores.measure()
        assert cores.exist is exist, idle_cores


def test_short_moment_without_work_does_not_count() -> None:
    machine = Machine()
    cores = FreeCores(lambda: machine.idle, lambda: machine.at)
    machine.go_on(SAMPLE_SECONDS, 0.0)
    cores.measure()
    machine.go_on(SAMPLE_SECONDS / 10, 2.0)
    cores.measure()
    assert not cores.exist


def test_idle_time_is_that_of_all_cores_since_the_machine_started() -> None:
    up = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 < idle_seconds() < up * (os.cpu_count() or 1)
