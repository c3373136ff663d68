"""All views of the read database."""

from __future__ import annotations

from collections.abc import Mapping

from services.projection.view import View
from services.projection.views.analytics import ANALYTICS_VIEW
from services.projection.views.audit import AUDIT_VIEW
from services.projection.views.customers import CUSTOMERS_VIEW
from services.projection.views.orders import ORDERS_VIEW
from services.projection.views.products import PRODUCTS_VIEW
from services.projection.views.revocations import REVOCATIONS_VIEW
from services.projection.views.stock import STOCK_VIEW
from services.projection.views.timeline import TIMELINE_VIEW

__all__ = ["VIEWS"]

_VIEWS = (
    ORDERS_VIEW, TIMELINE_VIEW, STOCK_VIEW, CUSTOMERS_VIEW, ANALYTICS_VIEW, PRODUCTS_VIEW, REVOCATIONS_VIEW,
    AUDIT_VIEW,
)  # fmt: skip
VIEWS: Mapping[str, View] = {view.name: view for view in _VIEWS}
