"""Stripe's webhook: verifies the signature of an event, handles it once, and ignores payments of other systems.

Signature: docs.stripe.com/webhooks/signature. Events: docs.stripe.com/api/events/types. Stripe delivers events in any
order and before or after the response to a call, so an event is only a fact about the payment.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
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
from services.kit.resilience.outgoing import CallFailed
from services.kit.rest.app import UnmarkedCause, provided
from services.kit.rest.routes import JsonRequest, json_router
from services.kit.telemetry.metrics import METRICS
from services.payments.domain import PAYMENT
from services.payments.reactions import Payments
from services.payments.stripe import Stripe
from services.payments.stripe_facts import dispute_fact, end_fact, of_minor_units, refund_fact
from services.payments.transactions import Fact, Transaction

__all__ = ["TOLERANCE_SECONDS", "routes", "verify"]

TOLERANCE_SECONDS = 300.0
"""The maximum age of an event: an older one may be a replay."""
SIGNATURES_MAX = 10
HEX_SHA256 = re.compile(r"[0-9a-f]{64}")
EPOCH_SECONDS = re.compile(r"[0-9]{1,10}")
Signature = Annotated[
    str,
    Header(
        max_length=4096,
        description="Stripe's signature of the body, with the time.",
        examples=["t=1764072000,v1=5257a869e7"],
    ),
]
ID_CHARS_MAX = 255


class Part(BaseModel):
    """A part of an event; members that Stripe adds are ignored."""

    model_config = ConfigDict(extra="ignore")


class Metadata(Part):
    """The metadata that was sent with the PaymentIntent or the Refund."""

    order_id: str = Field(default="", max_length=64, pattern=r"^[!-~]*$")
    refund_id: str = Field(default="", max_length=64, pattern=r"^[!-~]*$")
    charge_id: str = Field(default="", max_length=64, pattern=r"^[!-~]*$")


class Thing(Part):
    """A PaymentIntent, a Charge, a Refund or a Dispute: the members that are used of each."""

    id: str = Field(max_length=ID_CHARS_MAX)
    payment_intent: str | None = Field(default=None, max_length=ID_CHARS_MAX)
    status: str | None = Field(default=None, max_length=ID_CHARS_MAX)
    cancellation_reason: str | None = Field(default=None, max_length=ID_CHARS_MAX)
    amount: int = 0
    amount_received: int = 0
    amount_captured: int = 0
    amount_refunded: int = 0
    refunded: bool = False
    currency: str = Field(pattern=r"^[a-z]{3}$")
    metadata: Metadata = Metadata()


class Data(Part):
    """The object of the event."""

    object: Thing


class Event(Part):
    """An event of Stripe."""

    id: str = Field(min_length=1, max_length=ID_CHARS_MAX, pattern=r"^[!-~]+$")
    type: str = Field(max_length=ID_CHARS_MAX)
    data: Data


def read_signature(header: str, now: float) -> tuple[bytes, list[bytes]]:
    """The time and the signatures in Stripe-Signature; Unauthenticated if it has none or is too old, whatever it signs.

    The body is read only after this check.
    """
    parts = [part.partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name.strip() == "t"]
    given = [value.encode() for name, _, value in parts if name.strip() == "v1" and HEX_SHA256.fullmatch(value)]
    if len(times) != 1 or not EPOCH_SECONDS.fullmatch(times[0]):
        raise Unauthenticated("bad-signature", "The header Stripe-Signature needs exactly one time `t`.")
    if not given:
        raise Unauthenticated("bad-signature", "The header Stripe-Signature has no signature `v1`.")
    if abs(now - int(times[0])) > TOLERANCE_SECONDS:
        raise Unauthenticated("old-signature", "The event was signed more than 300 seconds ago, or in the future.")
    return times[0].encode(), given[:SIGNATURES_MAX]


def verify(payload: bytes, signature: str, secrets: list[str], now: float) -> None:
    """Raise Unauthenticated unless one of the secrets signed this payload in the last TOLERANCE_SECONDS."""
    signed_at, given = read_signature(signature, now)
    signed = b"%s.%s" % (signed_at, payload)
    right = [hmac.new(secret.encode(), signed, sha256).hexdigest().encode() for secret in secrets if secret]
    matches = [hmac.compare_digest(one, each) for one in right for each in given]
    if not any(matches):
        raise Unauthenticated(
            "bad-signature", "Stripe-Signature does not match this body: check ZEROCART_STRIPE_WEBHOOK_SECRETS"
        )


@dataclass(frozen=True, slots=True)
class Webhook:
    """Handles events of Stripe."""

    handler: CommandHandler
    stripe: Stripe
    secrets: Secret
    now: Callable[[], float] = time.time

    async def handle(self, payload: bytes, signature: str, cause: Cause) -> str:
        """Handle an event and return the label of its metric; Unauthenticated or Invalid if it is not Stripe's."""
        verify(payload, signature, several(self.secrets()), self.now())
        try:
            event = Event.model_validate(json.loads(payload))
        except (ValueError, ValidationError) as error:
            raise Invalid("bad-event", "The body is not an event about a payment.") from error
        return await self._act(event, cause)

    async def _act(self, event: Event, cause: Cause) -> str:
        thing, fact = event.data.object, fact_of(event)
        if fact is None:
            return "not heard"
        order_id = thing.metadata.order_id or await self._order_of(thing)
        if not order_id:
            return "not ours"
        fact = replace(fact, charge_id=thing.metadata.charge_id)
        facts = (fact, *await self._more(order_id, fact))
        marked = Cause(at=cause.at, correlation_id=order_id, mark=Mark(f"stripe {event.id}"))
        return "recorded" if await Payments(self.handler, self.stripe).report(order_id, facts, marked) else "known"

    async def _more(self, order_id: str, fact: Fact) -> tuple[Fact, ...]:
        """What Stripe knows beside this event, if the event alone does not say how much is left of the payment."""
        payment = (await self.handler.load(PAYMENT, order_id)).state
        known = payment.transactions.get(fact.transaction_id, Transaction())
        if fact.what in HOLDS or (fact.reference and known.captured):
            return ()
        try:
            return await self.stripe.look(fact.transaction_id)
        except CallFailed as error:
            raise Unavailable("provider-away", "Stripe cannot be reached: the event is retried later") from error

    async def _order_of(self, thing: Thing) -> str:
        """The order of a dispute: only its PaymentIntent has the metadata."""
        return await self.stripe.order_of(thing.payment_intent) if thing.payment_intent else ""


HOLDS = frozenset({"authorized", "captured", "canceled", "expired"})


def fact_of(event: Event) -> Fact | None:
    """The fact in an event; None if the event is about something else."""
    thing, name = event.data.object, event.data.object.payment_intent or event.data.object.id
    match event.type:
        case "payment_intent.amount_capturable_updated":
            return Fact("authorized", name, of_minor_units(thing.amount, thing.currency))
        case "payment_intent.succeeded" | "charge.captured":
            taken = thing.amount_received or thing.amount_captured or thing.amount
            return Fact("captured", name, of_minor_units(taken, thing.currency))
        case "payment_intent.canceled":
            return end_fact(thing.cancellation_reason or "", name)
        case "charge.expired":
            return Fact("expired", name)
        case "charge.refunded":
            whole = "refunded" if thing.refunded else "partly_refunded"
            return Fact(whole, name, of_minor_units(thing.amount_refunded, thing.currency))
        case "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated":
            status = thing.status or ("failed" if event.type == "refund.failed" else None)
            return refund_fact({**thing.model_dump(), "status": status}, name)
        case _ if event.type.startswith("charge.dispute."):
            return dispute_fact(thing.model_dump(), name)
        case _:
            return None


class EventRequest(JsonRequest):
    """A request whose body is read only if a signature comes with it.

    The body may have BODY_BYTES_MAX, although the route needs no token: the texts in the evidence of a dispute have up
    to 150,000 characters (docs.stripe.com/api/disputes/update), and an event about its change may repeat them.
    The shop may have added parameters to the address that it gave to Stripe.
    """

    checks_parameters = False

    async def check(self) -> None:
        """Check the form, the time and the value of the signature; Unauthenticated if one is wrong."""
        webhook: Webhook = self.app.state.provided[Webhook]
        read_signature(self.headers.get("stripe-signature", ""), webhook.now())
        await super().check()


routes = json_router(EventRequest)


@routes.post("/payments/webhooks/stripe", status_code=204, dependencies=[PUBLIC])
async def hear_stripe(
    request: Request,
    cause: UnmarkedCause,
    webhook: Annotated[Webhook, provided(Webhook)],
    stripe_signature: Signature = "",
) -> Response:
    """Receive a Stripe event.

    Records what happened to a payment at Stripe: an authorization, a capture, a release, a refund and how it ends, a
    dispute and how it ends. An order that is not shipped is cancelled if it is not paid any more. Refused if the
    signature is not Stripe's, or is older than a few minutes; Stripe then sends the event again.
    """
    outcome = await webhook.handle(await request.body(), stripe_signature, cause)
    METRICS.count("webhooks", outcome=outcome.replace(" ", "-"))
    return Response(status_code=204)
