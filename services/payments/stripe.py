"""A Provider that calls Stripe's HTTP API: a PaymentIntent for each order, authorized first and captured later.

A surcharge of an edited order is a PaymentIntent of its own, on the card that Stripe has saved.

The key of a call is sent as Idempotency-Key, so a repeated call happens once (docs.stripe.com/api/idempotent_requests).
Stripe stores the response to a key, also if it is a failure of Stripe's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from services.contracts.orders import CapturePolicy, PaymentMethod
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Money
from services.kit.resilience.outgoing import CallFailed, Policy, Target
from services.kit.saga.participant import Failure
from services.payments.calls import NOTHING, ProviderResult
from services.payments.stripe_facts import (
    Answer,
    charge_of,
    dispute_fact,
    intent_facts,
    member,
    minor_units,
    of_minor_units,
    refund_fact,
    refund_facts,
)
from services.payments.transactions import Fact, transaction_of

if TYPE_CHECKING:
    import httpx

__all__ = ["API_URL", "API_VERSION", "Stripe"]

API_URL = "https://api.stripe.com"
API_VERSION = "2024-06-20"
STRIPE = Policy(name="stripe", timeout_seconds=15.0)
IDLE_SECONDS = 5.0
"""How long an idle connection is kept open."""
DETAIL_CHARS_MAX = 200


class Stripe:
    """A Provider; `key` is the secret key, read at every call so that it can be rotated.

    With `save_cards` Stripe saves the card of every order, so that edits can charge it again.
    """

    def __init__(
        self, key: Secret, url: str = API_URL, target: Target | None = None, *, save_cards: bool = False
    ) -> None:
        self._key = key
        self._url = url.rstrip("/")
        self._target = target or Target(STRIPE)
        self._save_cards = save_cards
        self._client: httpx.AsyncClient | None = None

    async def authorize(
        self, key: str, amount: Money, method: PaymentMethod, policy: CapturePolicy | None = None
    ) -> ProviderResult | Failure:
        """Hold the amount on the card behind the token, or charge it.

        A card whose capture waits for staff is saved to a Customer, and every card with `save_cards`: Stripe uses no
        other card a second time.
        """
        form = {
            "payment_method": method.token,
            "capture_method": "automatic" if policy == "at_once" else "manual",
            "error_on_requires_action": "true",  # the customer is not present to answer a challenge
        }
        if policy == "by_hand" or self._save_cards:
            order = {"metadata[order_id]": key.partition(":")[0]}
            customer = await self._ask("POST", "/v1/customers", order, f"{key}:customer")
            if isinstance(customer, Failure):
                return customer
            form |= {"customer": str(customer["id"]), "setup_future_usage": "off_session"}
        return await self._intend(key, amount, form)

    async def renew(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Hold the amount on the card of an earlier PaymentIntent, if the card is saved to a Customer.

        The customer is not present, so the bank may refuse for want of a challenge
        (docs.stripe.com/payments/save-and-reuse).
        """
        saved = await self._saved_card(transaction_id)
        if isinstance(saved, Failure):
            return saved
        return await self._intend(key, amount, {**saved, "capture_method": "manual"})

    async def surcharge(self, key: str, transaction_id: str, amount: Money, charge_id: str) -> ProviderResult | Failure:
        """Charge the amount to the card of an earlier PaymentIntent, if the card is saved to a Customer."""
        saved = await self._saved_card(transaction_id)
        if isinstance(saved, Failure):
            return saved
        named = {"metadata[charge_id]": charge_id}
        return await self._intend(key, amount, {**saved, **named, "capture_method": "automatic"})

    async def _saved_card(self, transaction_id: str) -> dict[str, str] | Failure:
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure):
            return intent
        customer, card = intent.get("customer"), intent.get("payment_method")
        if not (customer and card):
            return Failure("card-not-saved", "Stripe has not saved the card, so that it cannot be used again", False)
        return {"customer": str(customer), "payment_method": str(card), "off_session": "true"}

    async def _intend(self, key: str, amount: Money, details: Mapping[str, str]) -> ProviderResult | Failure:
        try:
            units = minor_units(amount)
        except ValueError as error:
            return Failure("bad-amount", str(error), transient=False)
        form = {
            **details,
            "amount": str(units),
            "currency": amount.currency.lower(),
            "payment_method_types[]": "card",
            "confirm": "true",
            "metadata[order_id]": key.partition(":")[0],
        }
        intent = await self._ask("POST", "/v1/payment_intents", form, key)
        if isinstance(intent, Failure):
            return intent
        if intent["status"] not in ("requires_capture", "succeeded"):
            return Failure("not-authorized", f"the payment is {intent['status']}", transient=False)
        return ProviderResult(str(intent["id"]), amount, tuple(intent_facts(intent)))

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge the amount, or less than what is held."""
        form = {"amount_to_capture": str(minor_units(amount))}
        intent, facts = await self._ask("POST", f"/v1/payment_intents/{transaction_id}/capture", form, key), ()
        if isinstance(intent, Failure) and intent.code == UNEXPECTED_STATE:
            intent = await self._look(transaction_id)  # captured by a call whose response was lost, or voided
            if not isinstance(intent, Failure):
                facts = await self._facts(intent)
                if intent["status"] != "succeeded":
                    return Failure("nothing-held", f"the payment is {intent['status']}", transient=False)
        if isinstance(intent, Failure):
            return intent
        taken = of_minor_units(int(intent["amount_received"]), str(intent["currency"]))
        return ProviderResult(transaction_id, taken, facts)

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Void the authorization, if there is one; a captured payment has to be refunded instead."""
        if not transaction_id:
            return ProviderResult("", NOTHING)
        form = {"cancellation_reason": "abandoned"}
        intent = await self._ask("POST", f"/v1/payment_intents/{transaction_id}/cancel", form, key)
        if isinstance(intent, Failure) and intent.code == UNEXPECTED_STATE:
            intent = await self._look(transaction_id)
            if not isinstance(intent, Failure) and intent["status"] == "succeeded":
                return Failure("already-captured", "the money was captured: refund it instead", transient=False)
        if isinstance(intent, Failure):
            return intent
        held = of_minor_units(int(intent["amount"]), str(intent["currency"]))
        return ProviderResult(transaction_id, held, (Fact("canceled", transaction_id),))

    async def refund(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Refund what was captured and not refunded yet."""
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure):
            return intent
        facts = await self._facts(intent)
        units = _not_refunded_yet(facts)
        if units == 0:
            return ProviderResult(transaction_id, of_minor_units(0, str(intent["currency"])), facts)
        form = {"payment_intent": transaction_id, "amount": str(units)}
        # Stripe stores the response to a key: after a refund that failed, or of another amount, the next needs another
        failed = sum(fact.what == "refund_failed" for fact in facts)
        refund = await self._ask("POST", "/v1/refunds", form, f"{key}:{failed}:{units}")
        if isinstance(refund, Failure):
            return await self._unless_changed(refund, transaction_id, units)
        return _refunded(refund, transaction_id, facts, retry=True)

    async def refund_part(
        self, key: str, transaction_id: str, amount: Money, refund_id: str
    ) -> ProviderResult | Failure:
        """Refund the amount, unless a refund has our id already: then the answer to an earlier call was lost."""
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure):
            return intent
        facts = await self._facts(intent)
        if made := next((fact for fact in facts if fact.refund_id == refund_id), None):
            return ProviderResult(transaction_id, made.amount or amount, facts, refund_id=made.reference)
        try:
            units = minor_units(amount)
        except ValueError as error:
            return Failure("bad-amount", str(error), transient=False)
        if units > _not_refunded_yet(facts):
            return Failure("refund-too-large", "the refund is larger than what is left of the payment", transient=False)
        form = {"payment_intent": transaction_id, "amount": str(units), "metadata[refund_id]": refund_id}
        refund = await self._ask("POST", "/v1/refunds", form, key)
        if isinstance(refund, Failure):
            return refund
        return _refunded(refund, transaction_id, facts, retry=False)

    async def _unless_changed(self, failure: Failure, transaction_id: str, units: int) -> Failure:
        """The failure of a refund; a transient one if another refund was made meanwhile, so that less is left."""
        if failure.transient or _not_refunded_yet(await self.look(transaction_id)) == units:
            return failure
        return Failure("state-changed", "another refund was made meanwhile", transient=True)

    async def find(self, order_id: str, charge_id: str = "") -> str:
        """The PaymentIntent of an order or of its surcharge.

        The search may miss one of the last minute, which the webhook reports.
        """
        query = f"metadata['order_id']:'{order_id}'"
        found = await self._ask("GET", "/v1/payment_intents/search", {"query": query, "limit": "100"}, "")
        if isinstance(found, Failure):
            raise CallFailed(found.code, found.detail, transient=found.transient)
        of_charge = [each for each in found["data"] if charge_of(each) == charge_id]
        live = sorted(of_charge, key=lambda intent: intent["status"] == "canceled")
        return str(live[0]["id"]) if live else ""

    async def look(self, transaction_id: str) -> tuple[Fact, ...]:
        """All that Stripe knows about a PaymentIntent; nothing if there is none."""
        intent = await self._look(transaction_id)
        if not isinstance(intent, Failure):
            return await self._facts(intent)
        if intent.transient:
            raise CallFailed(intent.code, intent.detail, transient=True)
        return ()

    async def order_of(self, transaction_id: str) -> str:
        """The id of the order of a PaymentIntent; empty if it is of another system."""
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure) and intent.transient:
            raise Unavailable("provider-away", "Stripe cannot be reached: the event is retried later")
        return "" if isinstance(intent, Failure) else str(member(intent.get("metadata"), "order_id") or "")

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _look(self, transaction_id: str) -> Answer | Failure:
        form = {"expand[]": "latest_charge.refunds"}
        return await self._ask("GET", f"/v1/payment_intents/{transaction_id}", form, "")

    async def _facts(self, intent: Answer) -> tuple[Fact, ...]:
        charge, name = intent.get("latest_charge"), str(intent["id"])
        facts = [*intent_facts(intent), *refund_facts(charge, name, str(intent["currency"]))]
        if member(member(charge, "refunds"), "has_more"):  # a charge lists its ten newest refunds only
            facts += [refund_fact(each, name) for each in await self._list("/v1/refunds", name)]
        if member(charge, "disputed"):
            facts += [dispute_fact(each, name) for each in await self._list("/v1/disputes", name)]
        return tuple(facts)

    async def _list(self, path: str, transaction_id: str) -> Sequence[Answer]:
        """Up to 100 things about a PaymentIntent; nothing if Stripe refuses to list them."""
        found = await self._ask("GET", path, {"payment_intent": transaction_id, "limit": "100"}, "")
        if not isinstance(found, Failure):
            return found["data"]
        if found.transient:
            raise CallFailed(found.code, found.detail, transient=True)
        return ()

    async def _ask(self, method: str, path: str, form: Mapping[str, str], key: str) -> Answer | Failure:
        try:
            return await self._target.call(lambda: self._once(method, path, form, key))
        except CallFailed as error:
            return Failure(error.code, error.detail, transient=error.transient)

    async def _once(self, method: str, path: str, form: Mapping[str, str], key: str) -> Answer:
        import httpx

        headers = {"Authorization": f"Bearer {self._key()}", "Stripe-Version": API_VERSION}
        if key:
            headers["Idempotency-Key"] = key
        sent: dict[str, Any] = {"params": form} if method == "GET" else {"data": form}
        try:
            answer = await self._connected().request(method, path, headers=headers, **sent)
        except httpx.HTTPError as error:
            raise CallFailed("provider-away", type(error).__name__, transient=True) from error
        try:
            body: Any = answer.json()
        except ValueError as error:
            raise CallFailed("provider-error", f"{answer.status_code} without JSON", transient=True) from error
        if answer.status_code == 200:
            return body
        raise _failure(answer.status_code, body, answer.headers.get("Retry-After", ""))

    def _connected(self) -> httpx.AsyncClient:
        import httpx

        if self._client is None:
            limits = httpx.Limits(keepalive_expiry=IDLE_SECONDS)
            self._client = httpx.AsyncClient(base_url=self._url, timeout=STRIPE.timeout_seconds, limits=limits)
        return self._client


UNEXPECTED_STATE = "payment-intent-unexpected-state"
KEY_REFUSED = frozenset({401, 403})


def _failure(status: int, body: object, retry_after: str) -> CallFailed:
    """The failure for a response that is not a success (docs.stripe.com/api/errors)."""
    error = member(body, "error")
    code = member(error, "decline_code") or member(error, "code") or member(error, "type") or status
    code, detail = str(code).replace("_", "-"), str(member(error, "message") or "")[:DETAIL_CHARS_MAX]
    if status == 402:
        return CallFailed("card-declined", f"the card was declined: {code}", transient=False)
    if status in KEY_REFUSED:  # an operator can correct the key, so the call is worth a retry
        return CallFailed("provider-refuses-us", f"Stripe answers {status}: check ZEROCART_STRIPE_KEY", transient=True)
    wait = float(retry_after) if retry_after.isdecimal() else 0.0
    if status in (409, 429) or status >= 500:
        return CallFailed("provider-busy", f"Stripe answers {status}", transient=True, retry_after_seconds=wait)
    return CallFailed(code, detail, transient=False)


def _refunded(refund: Answer, transaction_id: str, facts: tuple[Fact, ...], *, retry: bool) -> ProviderResult:
    """The result of a refund; `retry` tells whether one that failed at once is worth another attempt."""
    made = refund_fact(refund, transaction_id)
    if made.what == "refund_failed":
        refused = Failure("refund-failed", f"the refund is {refund['status']}", transient=retry)
        return ProviderResult(transaction_id, NOTHING, (*facts, made), refused=refused)
    back = of_minor_units(int(refund["amount"]), str(refund["currency"]))
    return ProviderResult(transaction_id, back, (*facts, made), refund_id=made.reference)


def _not_refunded_yet(facts: Iterable[Fact]) -> int:
    known = transaction_of(facts)
    return minor_units(Money(amount=known.left, currency=known.captured.currency)) if known.captured else 0
