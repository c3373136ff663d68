"""Finds the local cluster whose state folder ZEROCART_HOME names, and calls it as its operator."""

from __future__ import annotations

from tools.knative_local.credentials import operator_of
from tools.knative_local.rest_client import RestClient, cluster_status
from tools.knative_local.state import Running, State

__all__ = ["NotRunningError", "edge", "projection", "running_cluster"]


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


def edge() -> RestClient:
    """The REST interface of the cluster, called as its operator."""
    return _client(running_cluster(), "/v1")


def projection() -> RestClient:
    """The views of the projection, which the edge does not route."""
    running = running_cluster()
    return _client(running, "/projection/views", cluster_status(running)["services"]["projection"]["url"])


def _client(running: Running, path: str, url: str = "") -> RestClient:
    operator = operator_of(State.from_environment(), running.edge_url)
    return RestClient(f"{url or running.edge_url}{path}", operator.token())
