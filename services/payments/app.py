"""The composition root of payments."""

from __future__ import annotations

from collections.abc import Sequence

from services.contracts.scopes import ORDERS_ADMIN
from services.kit.domain.errors import ZerocartError
from services.kit.service.host import Host
from services.kit.service.service import Routers, Service
from services.payments.provider import Provider
from services.payments.reactions import reactions
from services.payments.sandbox import Sandbox
from services.payments.settings import PaymentsSettings
from services.payments.stripe import API_URL, Stripe

__all__ = ["create_app"]


def create_app(
    host: Host | None = None, provider: Provider | None = None, settings: PaymentsSettings | None = None
) -> Service:
    """The payments service on `host` with `settings`, or as the environment says."""
    own = settings or PaymentsSettings.from_environment()
    host = host or Host.connect("payments")
    provider = provider or _provider(host, own)

    def routers() -> Routers:
        from services.payments.api import routes

        if isinstance(provider, Sandbox):
            from services.payments import sandbox_api

            return sandbox_api.routes, routes
        if not isinstance(provider, Stripe):
            return (routes,)
        from services.payments import webhook

        return webhook.routes, routes

    def provides() -> Sequence[object]:
        if isinstance(provider, Sandbox):
            return (provider,)
        if not isinstance(provider, Stripe):
            return ()
        from services.payments.webhook import Webhook

        return (Webhook(host.handler, provider, own.stripe_webhook_secrets),)

    on_stop = [provider.close] if isinstance(provider, Stripe) else []
    return Service(
        host,
        admin_scope=ORDERS_ADMIN,
        reactions=reactions(host.handler, provider),
        routers=routers,
        provides=provides,
        on_stop=on_stop,
    )


def _provider(host: Host, own: PaymentsSettings) -> Provider:
    match own.provider:
        case "sandbox":
            return Sandbox(host.store)
        case "stripe":
            host.settings.require(
                ZEROCART_STRIPE_KEY=own.stripe_key(), ZEROCART_STRIPE_WEBHOOK_SECRETS=own.stripe_webhook_secrets()
            )
            return Stripe(own.stripe_key, own.stripe_url or API_URL, save_cards=own.stripe_save_cards)
        case unknown:
            raise ZerocartError("bad-setting", f"ZEROCART_PAYMENTS_PROVIDER: {unknown!r} is not sandbox or stripe")
