"""The composition root of users."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.scopes import USERS_ADMIN
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.users.accounts import Accounts
from services.users.attempts import Attempts
from services.users.keys import Keys
from services.users.passwords import Passwords
from services.users.proofs import Proofs
from services.users.reactions import reactions
from services.users.settings import UsersSettings
from services.users.times import Times

__all__ = ["create_app"]

WARMS = ("notifications", "scheduler")
"""The services that a registration reaches within a second."""
ALONE = ("/token", "/password-reset")
"""A login reaches no other service. A reset is accepted for every address, also for one without an account."""


def create_app(host: Host | None = None, settings: UsersSettings | None = None) -> Service:
    """The users service on `host` with `settings`, or as the environment says."""
    own = settings or UsersSettings.from_environment()
    if host is None:
        host = Host.connect("users")
        own.require(host.settings)
    shared = host.settings
    secrets = Keys(own.account_key, own.mail_token_keys)
    accounts = Accounts(host.handler, secrets)
    passwords = Passwords()
    proofs = Proofs(accounts, Attempts(host.store), passwords)
    times = Times.of(own.durations_seconds)

    def routers() -> Routers:
        from services.users import api, staff_api
        from services.users.tokens import api as tokens
        from services.users.tokens import clients_api

        return api.routes, staff_api.routes, tokens.routes, tokens.json_routes, clients_api.routes

    def provides() -> Sequence[object]:
        from services.kit.auth.signing import SigningKeys
        from services.users.persons import Persons
        from services.users.tokens.api_clients import ApiClients
        from services.users.tokens.clients import Clients
        from services.users.tokens.grants import Grants
        from services.users.tokens.sessions import Sessions

        keys = SigningKeys(own.signing_keys, shared.issuer, shared.token_audience)
        sessions = Sessions(host.handler, times.refresh_token)
        configured, clients = Clients(own.clients), ApiClients(host.handler, secrets)
        grants = Grants(proofs, sessions, configured, clients, keys, times, secrets.linked_order)
        return accounts, proofs, times, Persons(host.handler), grants, keys, configured, clients

    return Service(
        host,
        admin_scope=USERS_ADMIN,
        reactions=reactions(host.handler, accounts),
        routers=routers,
        provides=provides,
        warms=WARMS,
        alone=ALONE,
        on_stop=(passwords.close,),
    )
