"""The database privileges of payments, and its finished streams, which may be archived."""

from __future__ import annotations

from services.contracts import payments
from services.kit.eventstore.archiver import finished
from services.kit.eventstore.grants import Grants

__all__ = ["FINISHED", "GRANTS"]

GRANTS = Grants(history=True)

# The provider reports how a refund ends, so its reports may come last. An authorization lasts for days only.
FINISHED = finished(
    by=(
        payments.PaymentCaptured,
        payments.PaymentDeclined,
        payments.PaymentFailed,
        payments.PaymentItemised,
        payments.PaymentRefunded,
        payments.PaymentVoided,
        payments.ProviderReported,
        payments.ProviderUpdated,
        payments.RefundRefused,
        payments.RestockRequested,
        payments.SurchargePaid,
        payments.SurchargeRefused,
        payments.SurchargeUndone,
    ),
)
