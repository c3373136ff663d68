"""Finds the local cluster whose state folder ZEROCART_HOME names."""

from __future__ import annotations

from tools.knative_local.state import Running, State

__all__ = ["NotRunningError", "running_cluster"]


class NotRunningError(Exception):
    """No cluster runs on the state folder."""


def running_cluster(state: State | None = None) -> Running:
    """The addresses of the cluster; NotRunningError with the next step if none runs."""
    state = state or State.from_environment()
    running = state.running()
    if running is not None:
        return running
    if state.locked():
        log = state.home / "logs" / "cluster.log"
        raise NotRunningError(f"The cluster on {state.home} is starting or stopping: see {log}.")
    raise NotRunningError(f"No cluster runs on {state.home}. Start one: zerocart up --detach")
