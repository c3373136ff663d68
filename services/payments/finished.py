"""Which streams of payments are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts import payments
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

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
