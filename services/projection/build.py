"""`python -m services.projection.build`: builds the versions of views that are missing or requested, and ends.

On Kubernetes it runs as a Job, in compose as a service, on the local cluster as a child process. It creates a version
for each view whose definition is newer than all its versions, builds each unfinished version from the event store,
compares it with the version that serves and switches. With a VIEW it first records that this view is to be rebuilt.
It exits with 1 and the reason unless each view is served in the revision of this release or a later one. It may be
killed and started again at any time; a second process waits for the first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import uvloop

from services.kit.config.settings import Settings
from services.kit.domain.errors import ZerocartError
from services.kit.telemetry.logging import configure, log
from services.projection.building import Builder
from services.projection.pages import Pages
from services.projection.versions import ReadDatabase, Then, Version
from services.projection.view_admin import ViewAdmin
from services.projection.views import VIEWS

__all__ = ["NoJobs", "build", "main"]


class NoJobs:
    """This process is the Job."""

    async def start(self) -> None:
        """Do nothing: this process builds afterwards."""


async def build(settings: Settings, view: str = "", then: Then = "switch_if_equal") -> list[str]:
    """Build what is missing, and `view` if it is named; the reasons why views are not served as this release needs."""
    from services.kit.eventstore.postgres import PostgresEventReader
    from services.kit.privacy.vault import PostgresVault

    reader = PostgresEventReader(settings.database_url, archive=settings.archive)
    vault = PostgresVault(reader.connections, settings.vault_keys, cache_seconds=0)  # see app.py
    database = ReadDatabase(settings.read_database_url)
    pages = Pages(reader, vault, database, VIEWS)
    builder = Builder(pages)
    try:
        admin = ViewAdmin(pages, builder, NoJobs())
        await admin.rebuild_cut()
        if view:
            await admin.rebuild(view, then)
        await builder.build_all()
        return _unserved(await database.versions())
    finally:
        await database.close()
        await reader.close()


def _unserved(versions: Sequence[Version]) -> list[str]:
    needed = {view.name: view.revision for view in VIEWS.values()}
    serving = [each for each in versions if each.state == "serving"]
    served = {each.view for each in serving if each.revision >= needed.get(each.view, 0)}
    stopped = {each.view: f"stopped at {each.stopped_at} by {each.stopped_by}" for each in versions if each.stopped_at}
    return [f"{name}: {stopped.get(name, 'not built')}" for name in VIEWS if name not in served]


def main() -> None:
    """Build; exits with 1 and the reason if a view is not served as this release needs it."""
    parser = argparse.ArgumentParser(prog="python -m services.projection.build")
    parser.add_argument("view", metavar="VIEW", nargs="?", default="", help="rebuild this view, current or not")
    parser.add_argument("--then", choices=("switch", "switch_if_equal", "wait"), default="switch_if_equal")
    options = parser.parse_args()
    try:
        settings = Settings.from_environment("projection")
        configure("projection-build", settings.log_level)
        settings.require(ZEROCART_VAULT_KEYS=settings.vault_keys())
        failures = uvloop.run(build(settings, options.view, options.then))
    except ZerocartError as error:
        sys.exit(f"the build failed: {error}")
    if failures:
        sys.exit("the build failed: " + "; ".join(failures))
    log("all views are built")


if __name__ == "__main__":
    main()
