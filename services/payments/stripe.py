"""A Provider on Stripe's HTTP API: one PaymentIntent for each order, held first and captured later.

Our key is Stripe's Idempotency-Key, so a call that is repeated happens once (docs.stripe.com/api/idempotent_requests);
Stripe keeps the answer to a key, a failure of its own included.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from services.contracts.orders import PaymentMethod
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import Money
from services.kit.resilience.outgoing import CallFailed, Policy, Target
from services.kit.saga.participant import Failure
from services.payments.domain import ProviderResult

if TYPE_CHECKING:
    import httpx

__all__ = ["API_URL", "API_VERSION", "Stripe", "minor_units", "of_minor_units"]

API_URL = "https://api.stripe.com"
API_VERSION = "2024-06-20"
STRIPE = Policy(name="stripe", timeout_seconds=15.0)
IDLE_SECONDS = 5.0
"""How long a connection is kept for the next call."""
DETAIL_CHARS_MAX = 200

ZERO_DECIMAL = frozenset(
    {"BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"}
)
THREE_DECIMAL = frozenset({"BHD", "JOD", "KWD", "OMR", "TND"})
"""Currencies that Stripe does not count in hundredths (docs.stripe.com/currencies)."""
NOTHING = Money(amount=Decimal(0), currency="XXX")

Answer = Mapping[str, Any]


def minor_units(amount: Money) -> int:
    """The amount as Stripe counts it; ValueError if it is no whole number of minor units."""
    units = amount.amount.scaleb(_decimals(amount.currency))
    if units != units.to_integral_value():
        raise ValueError(f"{amount.amount} {amount.currency} is no whole number of minor units")
    return int(units)


def of_minor_units(units: int, currency: str) -> Money:
    """What Stripe counts, as money."""
    upper = currency.upper()
    return Money(amount=Decimal(units).scaleb(-_decimals(upper)), currency=upper)


def _decimals(currency: str) -> int:
    return 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2


class Stripe:
    """A Provider; `key` is the secret key, read at every call so that it can be rotated."""

    def __init__(self, key: Secret, url: str = API_URL, target: Target | None = None) -> None:
        self._key = key
        self._url = url.rstrip("/")
        self._target = target or Target(STRIPE)
        self._client: httpx.AsyncClient | None = None

    async def authorize(self, key: str, amount: Money, method: PaymentMethod) -> ProviderResult | Failure:
        """Hold money on the card behind the token."""
        try:
            units = minor_units(amount)
        except ValueError as error:
            return Failure("bad-amount", str(error), transient=False)
        form = {
            "amount": str(units),
            "currency": amount.currency.lower(),
            "payment_method": method.token,
            "payment_method_types[]": "card",
            "capture_method": "manual",
            "confirm": "true",
            "error_on_requires_action": "true",  # nobody is there to answer a challenge
            "metadata[order_id]": key.partition(":")[0],
        }
        intent = await self._ask("POST", "/v1/payment_intents", form, key)
        if isinstance(intent, Failure):
            return intent
        if intent["status"] != "requires_capture":
            return Failure("not-authorized", f"the payment is {intent['status']}", transient=False)
        return ProviderResult(str(intent["id"]), amount)

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Take what is held, all of it or less."""
        form = {"amount_to_capture": str(minor_units(amount))}
        intent = await self._ask("POST", f"/v1/payment_intents/{transaction_id}/capture", form, key)
        if isinstance(intent, Failure) and intent.code == UNEXPECTED_STATE:
            intent = await self._look(transaction_id)  # taken by an answer that was lost, or let go
            if not isinstance(intent, Failure) and intent["status"] != "succeeded":
                return Failure("nothing-held", f"the payment is {intent['status']}", transient=False)
        if isinstance(intent, Failure):
            return intent
        return ProviderResult(transaction_id, of_minor_units(int(intent["amount_received"]), str(intent["currency"])))

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Let go of what is held, if anything; what was taken cannot be let go."""
        if not transaction_id:
            return ProviderResult("", NOTHING)
        form = {"cancellation_reason": "abandoned"}
        intent = await self._ask("POST", f"/v1/payment_intents/{transaction_id}/cancel", form, key)
        if isinstance(intent, Failure) and intent.code == UNEXPECTED_STATE:
            intent = await self._look(transaction_id)
            if not isinstance(intent, Failure) and intent["status"] == "succeeded":
                return Failure("already-captured", "the money was taken: refund it", transient=False)
        if isinstance(intent, Failure):
            return intent
        return ProviderResult(transaction_id, of_minor_units(int(intent["amount"]), str(intent["currency"])))

    async def refund(self, key: str, transaction_id: str, amount: Money | None) -> ProviderResult | Failure:
        """Give back so much, or whatever was taken and not yet given back."""
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure):
            return intent
        currency, left = str(intent["currency"]), _not_yet_given_back(intent)
        if left == 0:
            return ProviderResult(transaction_id, of_minor_units(0, currency))
        units = min(minor_units(amount), left) if amount else left
        form = {"payment_intent": transaction_id, "amount": str(units)}
        refund = await self._ask("POST", "/v1/refunds", form, key)
        if isinstance(refund, Failure):
            return refund
        if refund["status"] in ("failed", "canceled"):
            return Failure("refund-failed", f"the refund is {refund['status']}", transient=True)
        return ProviderResult(transaction_id, of_minor_units(int(refund["amount"]), currency))

    async def find(self, order_id: str) -> str:
        """The PaymentIntent of an order; Stripe's search lags behind by up to a minute, then the webhook tells."""
        query = f"metadata['order_id']:'{order_id}'"
        found = await self._ask("GET", "/v1/payment_intents/search", {"query": query, "limit": "1"}, "")
        if isinstance(found, Failure):
            raise CallFailed(found.code, found.detail, transient=found.transient)
        return str(found["data"][0]["id"]) if found["data"] else ""

    async def order_of(self, transaction_id: str) -> str:
        """The order that a PaymentIntent is for; empty if it is not ours."""
        intent = await self._look(transaction_id)
        if isinstance(intent, Failure) and intent.transient:
            raise Unavailable("provider-away", "the payment cannot be looked at now")
        return "" if isinstance(intent, Failure) else str(_member(intent.get("metadata"), "order_id") or "")

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _look(self, transaction_id: str) -> Answer | Failure:
        form = {"expand[]": "latest_charge"}
        return await self._ask("GET", f"/v1/payment_intents/{transaction_id}", form, "")

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
OUR_FAULT = frozenset({401, 403})


def _failure(status: int, body: object, retry_after: str) -> CallFailed:
    """What an answer means that is no success (docs.stripe.com/api/errors)."""
    error = _member(body, "error")
    code = _member(error, "decline_code") or _member(error, "code") or _member(error, "type") or status
    code, detail = str(code).replace("_", "-"), str(_member(error, "message") or "")[:DETAIL_CHARS_MAX]
    if status == 402:
        return CallFailed("card-declined", f"the card was declined: {code}", transient=False)
    if status in OUR_FAULT:  # a key that is wrong is made right by somebody, and what was asked is still wanted
        return CallFailed("provider-refuses-us", f"Stripe answers {status}: is the key right?", transient=True)
    wait = float(retry_after) if retry_after.isdecimal() else 0.0
    if status in (409, 429) or status >= 500:
        return CallFailed("provider-busy", f"Stripe answers {status}", transient=True, retry_after_seconds=wait)
    return CallFailed(code, detail, transient=False)


def _not_yet_given_back(intent: Answer) -> int:
    given_back = _member(intent.get("latest_charge"), "amount_refunded")
    return max(int(intent.get("amount_received") or 0) - int(str(given_back or 0)), 0)


def _member(found: object, name: str) -> object:
    """A member of what should be a JSON object."""
    if not isinstance(found, dict):
        return None
    return found.get(name)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - it came from JSON
