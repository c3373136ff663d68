"""Users, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.kit.config.settings import Settings
from services.kit.service.host import Host
from services.kit.service.service import Service
from services.users.accounts import Accounts
from services.users.attempts import Attempts
from services.users.keys import Keys
from services.users.passwords import Passwords
from services.users.proofs import Proofs
from services.users.reactions import reactions
from services.users.times import Times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi import APIRouter

__all__ = ["create_app"]

WARMS = ("notifications", "scheduler")
"""Whom a registration reaches within a second."""
ALONE = ("/token",)
"""A login reaches nobody else, and is by far the commonest thing asked of this service."""


def create_app(host: Host | None = None) -> Service:
    """The users service on `host`, or on what the environment names."""
    if host is None:
        host = Host.connect("users")
        _require_secrets(host.settings)
    settings = host.settings
    accounts = Accounts(host.handler, Keys(settings.account_key, settings.mail_token_keys))
    passwords = Passwords()
    proofs = Proofs(accounts, Attempts(host.store), passwords)
    times = Times.of(settings.durations_seconds)

    def routers() -> Sequence[APIRouter]:
        from services.kit.auth.signing import SigningKeys
        from services.users.api import router
        from services.users.persons import Persons
        from services.users.tokens import api as tokens
        from services.users.tokens.clients import Clients
        from services.users.tokens.grants import Grants
        from services.users.tokens.sessions import Sessions

        keys = SigningKeys(settings.signing_keys, settings.issuer, settings.token_audience)
        sessions = Sessions(host.handler, times.refresh_token)
        grants = Grants(proofs, sessions, Clients(settings.clients), keys, times)
        return router(accounts, Persons(host.handler), proofs, times), tokens.router(grants, keys)

    return Service(
        host, reactions=reactions(accounts), routers=routers, warms=WARMS, alone=ALONE, on_stop=(passwords.close,)
    )


def _require_secrets(settings: Settings) -> None:
    settings.require(
        ZEROCART_VAULT_KEYS=settings.vault_keys(),
        ZEROCART_ACCOUNT_KEY=settings.account_key(),
        ZEROCART_MAIL_TOKEN_KEYS=settings.mail_token_keys(),
        ZEROCART_SIGNING_KEYS=settings.signing_keys(),
    )
