"""Which streams of payments are finished, so that they may be archived."""

from __future__ import annotations

from services.contracts.payments import (
    PaymentCaptured,
    PaymentDeclined,
    PaymentFailed,
    PaymentItemised,
    PaymentRefunded,
    PaymentVoided,
    ProviderReported,
    ProviderUpdated,
    RefundRefused,
    RestockRequested,
    SurchargePaid,
    SurchargeRefused,
    SurchargeUndone,
)
from services.kit.eventstore.archiver import finished

__all__ = ["FINISHED"]

# The provider reports how a refund ends, so its reports may come last. An authorization lasts for days only.
FINISHED = finished(
    by=(
        PaymentCaptured,
        PaymentDeclined,
        PaymentFailed,
        PaymentItemised,
        PaymentRefunded,
        PaymentVoided,
        ProviderReported,
        ProviderUpdated,
        RefundRefused,
        RestockRequested,
        SurchargePaid,
        SurchargeRefused,
        SurchargeUndone,
    ),
)
