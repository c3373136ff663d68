"""What Stripe tells us by itself: signed instead of a token, each event once, nothing believed that is not ours.

Signature: docs.stripe.com/webhooks/signature. A holding of money for an order whose payment is closed is let go.
"""

from __future__ import annotations

import hmac
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.kit.auth.access import PUBLIC
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Invalid, Unauthenticated, Unavailable
from services.kit.eventstore.port import Mark
from services.kit.privacy.hmac_tokens import several
from services.kit.rest.app import UnmarkedCause, json_router, provided
from services.kit.saga.participant import Failure
from services.kit.telemetry.logging import log
from services.kit.telemetry.metrics import METRICS
from services.payments.domain import PAYMENT, Change, Report, accepts_money
from services.payments.stripe import Stripe, of_minor_units

__all__ = ["TOLERANCE_SECONDS", "routes", "verify"]

TOLERANCE_SECONDS = 300.0
"""How old an event may be: an older one may be a replay."""
SIGNATURES_MAX = 10
Signature = Annotated[
    str,
    Header(
        max_length=4096,
        description="What Stripe makes of the body and a secret.",
        examples=["t=1764072000,v1=5257a869e7"],
    ),
]
ID_CHARS_MAX = 255


class Part(BaseModel):
    """A part of an event; Stripe adds members as it likes."""

    model_config = ConfigDict(extra="ignore")


class Metadata(Part):
    """What we gave along."""

    order_id: str = Field(default="", max_length=64, pattern=r"^[!-~]*$")


class Thing(Part):
    """A PaymentIntent, a Charge or a Dispute: what we read of each."""

    id: str = Field(max_length=ID_CHARS_MAX)
    payment_intent: str | None = Field(default=None, max_length=ID_CHARS_MAX)
    amount: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    currency: str = Field(pattern=r"^[a-z]{3}$")
    metadata: Metadata = Metadata()


class Data(Part):
    """What it is about."""

    object: Thing


class Event(Part):
    """Something that happened at Stripe."""

    id: str = Field(min_length=1, max_length=ID_CHARS_MAX, pattern=r"^[!-~]+$")
    type: str = Field(max_length=ID_CHARS_MAX)
    data: Data


def verify(payload: bytes, signature: str, secrets: list[str], now: float) -> None:
    """Unauthenticated unless one of the secrets signed this payload a moment ago."""
    parts = [part.partition("=") for part in signature.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value for name, _, value in parts if name.strip() == "v1"][:SIGNATURES_MAX]
    if len(times) != 1 or not (times[0].isascii() and times[0].isdecimal()) or len(times[0]) > len("9999999999"):
        raise Unauthenticated("bad-signature", "Stripe-Signature does not say when it was made")
    signed = b"%s.%s" % (times[0].encode(), payload)
    right = [hmac.new(secret.encode(), signed, sha256).hexdigest() for secret in secrets if secret]
    matches = [hmac.compare_digest(one.encode(), each.encode("utf-8")) for one in right for each in given]
    if not any(matches):
        raise Unauthenticated("bad-signature", "Stripe-Signature does not fit this body")
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise Unauthenticated("old-signature", "the event was signed too long ago, or in the future")


@dataclass(frozen=True, slots=True)
class Webhook:
    """What is needed to hear Stripe."""

    handler: CommandHandler
    stripe: Stripe
    secrets: Secret
    now: Callable[[], float] = time.time

    async def hear(self, payload: bytes, signature: str, cause: Cause) -> str:
        """What came of an event, as a word; Unauthenticated or Invalid if it is none of Stripe's."""
        verify(payload, signature, several(self.secrets()), self.now())
        try:
            event = Event.model_validate(json.loads(payload))
        except (ValueError, ValidationError) as error:
            raise Invalid("bad-event", "this is no event about a payment") from error
        return await self._act(event, cause)

    async def _act(self, event: Event, cause: Cause) -> str:
        thing = event.data.object
        order_id = thing.metadata.order_id
        if event.type == "payment_intent.amount_capturable_updated":
            return await self._held(order_id, thing) if order_id else "not ours"
        what = _what(event)
        if what is None:
            return "not heard"
        order_id, transaction_id = order_id or await self._order_of(thing), thing.payment_intent or thing.id
        if not order_id:
            return "not ours"
        amount = of_minor_units(thing.amount if what == "disputed" else thing.amount_refunded, thing.currency)
        report = Report(
            at=cause.at,
            order_id=order_id,
            transaction_id=transaction_id,
            change=what,
            amount=None if what == "canceled" else amount,
        )
        marked = Cause(at=cause.at, correlation_id=order_id, mark=Mark(f"stripe {event.id}"))
        outcome = await self.handler.handle(PAYMENT, order_id, report, marked)
        return "recorded" if outcome.events else "known"

    async def _held(self, order_id: str, thing: Thing) -> str:
        """Let go of money whose holding was given up before we heard that it had worked."""
        payment = await self.handler.reload(PAYMENT, order_id)
        if accepts_money(payment.state):
            return "expected"
        done = await self.stripe.void(f"{order_id}:void-found", thing.id)
        if isinstance(done, Failure) and done.transient:
            raise Unavailable("provider-away", "the money could not be let go now")
        log("money was held for a closed payment: let go", level=logging.WARNING, order_id=order_id)
        return "let go"

    async def _order_of(self, thing: Thing) -> str:
        """A dispute does not carry our metadata: the PaymentIntent does."""
        return await self.stripe.order_of(thing.payment_intent) if thing.payment_intent else ""


def _what(event: Event) -> Change | None:
    match event.type:
        case "charge.refunded":
            return "refunded" if event.data.object.refunded else "partly_refunded"
        case "payment_intent.canceled":
            return "canceled"
        case "charge.dispute.created":
            return "disputed"
        case _:
            return None


routes = json_router()


@routes.post("/payments/webhooks/stripe", status_code=204, dependencies=[PUBLIC])
async def hear_stripe(
    request: Request,
    cause: UnmarkedCause,
    webhook: Annotated[Webhook, provided(Webhook)],
    stripe_signature: Signature = "",
) -> Response:
    """Receive a Stripe event.

    Records a refund, a dispute or the release of a payment that happened at Stripe. Refused if the signature is not
    Stripe's, or is older than a few minutes; Stripe then sends the event again.
    """
    outcome = await webhook.hear(await request.body(), stripe_signature, cause)
    METRICS.count("webhooks", outcome=outcome.replace(" ", "-"))
    return Response(status_code=204)
