"""Looks up revoked tokens in the view `revocations`, with each request.

One statement without SQLAlchemy: it costs every request less than a snapshot does.
"""

from __future__ import annotations

from datetime import datetime

from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.eventstore.connections import Connections

__all__ = ["RevokedTokens"]

ATTEMPTS_MAX = 3
SERVING = """
    SELECT max(version) FILTER (WHERE view = 'revocations' AND state = 'serving') AS version, count(*) AS versions
    FROM view_versions
"""
LOOK = """
    SELECT EXISTS (
        SELECT FROM revocations_{version}.revocations
        WHERE subject = $1 AND (issued_before IS NULL OR issued_before > $2)
    ) AS revoked
    FROM view_versions WHERE view = 'revocations' AND version = {version} AND state = 'serving'
"""


class RevokedTokens:
    """The revoked tokens, as far as the projection has read the event store."""

    def __init__(self, dsn: str | Secret) -> None:
        self._connections = Connections(dsn, "public", 1, check_cluster=False)
        self.close = self._connections.close
        self._version: int | None = None

    async def is_revoked(self, subject: str, issued_at: datetime) -> bool:
        """Whether a token that the subject got at this time is void.

        Unavailable if the read database is away, or shows other views and not this one.
        """
        for _ in range(ATTEMPTS_MAX):
            version = self._version or await self._serving()
            if version is None:
                return False
            self._version = version
            if (found := await self._look(version, subject, issued_at)) is not None:
                return found
            self._version = None
        raise _moving()

    async def _serving(self) -> int | None:
        """The version of the view that serves; None before the projection has run for the first time."""
        found = (await self._connections.fetch(SERVING))[0]
        if found["versions"] and found["version"] is None:
            raise _moving()
        return found["version"]

    async def _look(self, version: int, subject: str, issued_at: datetime) -> bool | None:
        """Whether the token is void by this version of the view; None if the version does not serve any more."""
        from asyncpg import InvalidSchemaNameError, UndefinedTableError

        try:
            rows = await self._connections.fetch(LOOK.format(version=version), subject, issued_at)
        except (InvalidSchemaNameError, UndefinedTableError):
            return None
        return rows[0]["revoked"] if rows else None


def _moving() -> Unavailable:
    from services.query.snapshots import MOVING

    return Unavailable(*MOVING)
