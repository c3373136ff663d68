"""The views that there are."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.domain.message import Message
from services.projection.view import View
from services.projection.views.analytics import ANALYTICS
from services.projection.views.customers import CUSTOMERS
from services.projection.views.orders import ORDERS
from services.projection.views.stock import STOCK
from services.projection.views.timeline import TIMELINE

__all__ = ["HEARD", "VIEWS"]

VIEWS: Mapping[str, View] = {view.name: view for view in (ORDERS, TIMELINE, STOCK, CUSTOMERS, ANALYTICS)}

HEARD: Mapping[str, type[Message]] = {type_: model for view in VIEWS.values() for type_, model in view.hears.items()}
"""The events that change a row of any view; their types are what wakes the projection."""
