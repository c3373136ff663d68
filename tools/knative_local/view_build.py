"""A process that builds views on the local cluster, restarted when it fails as the Job on a cluster is."""

from __future__ import annotations

import time
from collections.abc import Callable

from tools.knative_local.process import Process

__all__ = ["ViewBuild"]

RESTARTS_MAX = 6
RESTART_SECONDS = 0.5
"""The pause before the first restart; each further pause is twice as long."""


class ViewBuild:
    """A process that builds views, started again as long as it fails."""

    def __init__(self, start: Callable[[], Process]) -> None:
        self._start = start
        self._restarts = 0
        self._failed_at = 0.0
        self.process = start()

    @property
    def runs(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def goes_on(self) -> bool:
        """Restart a process that failed, after its pause; False if it has ended well, or failed too often."""
        if self.runs:
            self._failed_at = 0.0
            return True
        if self.process.returncode == 0 or self._restarts == RESTARTS_MAX:
            return False
        self._failed_at = self._failed_at or time.monotonic()
        if time.monotonic() >= self._failed_at + RESTART_SECONDS * 2**self._restarts:
            self._restarts += 1
            self.process = self._start()
        return True
