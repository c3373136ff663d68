"""Checks the settings of the services before they are needed: one that sleeps would fail only when it is woken."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from services.kit.config.settings import Settings
from services.kit.config.variables import texts
from services.kit.domain.errors import ZerocartError
from services.notifications.settings import NotificationsSettings
from services.orders.settings import OrdersSettings
from services.query.settings import QuerySettings
from services.rates import require_known
from services.webhooks.settings import WebhooksSettings
from tools.knative_local.settings import BadSettingError

__all__ = ["require_valid"]


def require_valid(names: Collection[str], environ: Mapping[str, str] = os.environ) -> None:
    """BadSettingError if a service could not start with the variables of these names."""
    found = {name: environ[name] for name in names if name in environ}
    try:
        Settings.from_environment("the service", found)
        require_known(texts("ZEROCART_RATES", found.get("ZEROCART_RATES", "")))
        for settings in (NotificationsSettings, OrdersSettings, QuerySettings, WebhooksSettings):
            settings.from_environment(found)
    except ZerocartError as error:
        raise BadSettingError(error.detail) from error
