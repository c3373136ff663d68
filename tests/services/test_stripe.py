"""The Stripe adapter: calls, idempotency, failures and webhook, against a double and against Stripe's own mock."""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import time
from collections.abc import AsyncGenerator, Generator
from decimal import Decimal
from hashlib import sha256
from typing import Any

import httpx
import pytest

from services.contracts.orders import PaymentMethod
from services.contracts.payments import PaymentVoid
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.message import Money
from services.kit.events.parked import PostgresFailedMessages
from services.kit.eventstore.postgres import PostgresEventStore
from services.kit.privacy.vault import MemoryVault
from services.kit.resilience.outgoing import Policy, Target
from services.kit.saga.participant import Failure
from services.kit.service.host import Host
from services.payments.app import create_app
from services.payments.domain import Call, ProviderResult
from services.payments.provider import Provider, call_provider
from services.payments.sandbox import Sandbox
from services.payments.settings import PaymentsSettings
from services.payments.stripe import Stripe
from services.payments.stripe_facts import minor_units, of_minor_units
from tests.services.stripe_double import KEY, StripeDouble, error, stripe_double
from tests.services.system import Bus, running
from tests.services.system import order as an_order
from tests.tokens import TRUST, authorization
from tests.waiting import until

QUICK = Policy(name="stripe", first_delay_seconds=0.001, timeout_seconds=1.0, failures_max=100)
TEN = Money(amount=Decimal("10.00"), currency="GBP")
SECRET = "whsec_" + "s" * 32
ORDER = "ord_1"


def card(token: str) -> PaymentMethod:
    return PaymentMethod(token=token)


@pytest.fixture
def double() -> Generator[StripeDouble]:
    with stripe_double() as server:
        yield server


@pytest.fixture
async def stripe(double: StripeDouble) -> AsyncGenerator[Stripe]:
    adapter = Stripe(plain(KEY), double.url, Target(QUICK))
    yield adapter
    await adapter.close()


@pytest.fixture(params=["sandbox", "stripe"])
async def provider(request, database, double: StripeDouble) -> AsyncGenerator[tuple[Provider, str, str]]:
    """The port on every adapter, with a token that approves and one that does not."""
    if request.param == "stripe":
        adapter = Stripe(plain(KEY), double.url, Target(QUICK))
        yield adapter, "pm_card_visa", "pm_card_declined"
        await adapter.close()
    else:
        store = PostgresEventStore(database.dsn("payments"), "payments")
        yield Sandbox(store), "tok_approve", "tok_decline"
        await store.close()


async def carried_out(port: Provider, call: Call) -> ProviderResult | Failure:
    return await call_provider(port, ORDER, f"{ORDER}:{call.verb}", call)


async def test_repeated_calls_authorize_capture_and_refund_once(provider) -> None:
    port, good, _ = provider
    held = await carried_out(port, Call("authorize", amount=TEN, method=card(good)))
    assert isinstance(held, ProviderResult)
    assert held == await call_provider(
        port, ORDER, f"{ORDER}:authorize", Call("authorize", amount=TEN, method=card(good))
    )
    for _ in range(2):
        assert await carried_out(port, Call("capture", held.transaction_id, TEN)) == held
    refused = await port.void("other", held.transaction_id)
    assert isinstance(refused, Failure)
    assert (refused.code, refused.transient) == ("already-captured", False)
    assert await carried_out(port, Call("refund", held.transaction_id)) == held


async def test_voided_payment_is_found_by_its_order_and_cannot_be_captured(provider) -> None:
    port, good, _ = provider
    held = await carried_out(port, Call("authorize", amount=TEN, method=card(good)))
    assert isinstance(held, ProviderResult)
    assert await port.find(ORDER) == held.transaction_id
    assert await port.find("ord_other") == ""
    for _ in range(2):
        assert isinstance(await carried_out(port, Call("void")), ProviderResult)
    late = await carried_out(port, Call("capture", held.transaction_id, TEN))
    assert isinstance(late, Failure)
    assert (late.code, late.transient) == ("nothing-held", False)
    back = await carried_out(port, Call("refund", held.transaction_id))
    assert isinstance(back, ProviderResult)
    assert back.amount.amount == 0


async def test_declined_card_is_a_final_failure(provider) -> None:
    port, _, bad = provider
    answer = await carried_out(port, Call("authorize", amount=TEN, method=card(bad)))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.transient) == ("card-declined", False)


async def test_refund_leaves_out_what_was_refunded_at_stripe(stripe: Stripe, double: StripeDouble) -> None:
    held = await stripe.authorize("o:authorize", TEN, card("pm_card_visa"))
    assert isinstance(held, ProviderResult)
    await stripe.capture("o:capture", held.transaction_id, TEN)
    double.intents[held.transaction_id]["latest_charge"]["amount_refunded"] = 400  # by somebody in the dashboard
    assert await stripe.refund("o:refund", held.transaction_id) == ProviderResult(
        held.transaction_id, Money(amount=Decimal("6.00"), currency="GBP")
    )


async def captured(port: Provider, token: str) -> str:
    held = await carried_out(port, Call("authorize", amount=TEN, method=card(token)))
    assert isinstance(held, ProviderResult)
    await carried_out(port, Call("capture", held.transaction_id, TEN))
    return held.transaction_id


async def test_money_that_is_taken_at_once_is_captured_and_can_be_refunded(provider) -> None:
    port, good, _ = provider
    call = Call("authorize", amount=TEN, method=card(good), policy="at_once")
    taken, repeated = await carried_out(port, call), await carried_out(port, call)
    assert isinstance(taken, ProviderResult)
    assert taken == repeated
    assert {fact.what for fact in taken.facts} == {"authorized", "captured"}
    again = await carried_out(port, Call("capture", taken.transaction_id, TEN))
    assert isinstance(again, ProviderResult)
    assert again.amount == TEN
    back = await port.refund(f"{ORDER}:refund", taken.transaction_id)
    assert isinstance(back, ProviderResult)
    assert back.amount == TEN


def gbp(amount: str) -> Money:
    return Money(amount=Decimal(amount), currency="GBP")


async def test_part_is_refunded_once_for_its_id_and_never_more_than_is_left(provider) -> None:
    port, good, _ = provider
    name = await captured(port, good)
    for _ in range(2):
        part = await port.refund_part(f"{ORDER}:rfd_1", name, gbp("4.00"), "rfd_1")
        assert isinstance(part, ProviderResult)
        assert (part.amount, part.refused) == (gbp("4.00"), None)
        assert [fact.refund_id for fact in part.facts if fact.reference == part.refund_id] == ["rfd_1"]
    too_much = await port.refund_part(f"{ORDER}:rfd_2", name, gbp("6.01"), "rfd_2")
    assert isinstance(too_much, Failure)
    assert (too_much.code, too_much.transient) == ("refund-too-large", False)
    rest = await port.refund(f"{ORDER}:refund", name)
    assert isinstance(rest, ProviderResult)
    assert rest.amount == gbp("6.00")


async def test_parts_that_race_with_each_other_and_with_the_whole_refund_no_more_than_was_captured(provider) -> None:
    port, good, _ = provider
    name = await captured(port, good)
    parts = [port.refund_part(f"{ORDER}:rfd_{n}", name, gbp("3.00"), f"rfd_{n}") for n in range(5)]
    results = await asyncio.gather(*parts, port.refund(f"{ORDER}:refund", name))
    back = sum(result.amount.amount for result in results if isinstance(result, ProviderResult))
    assert 9 <= back <= 10
    for result in results[:-1]:
        assert isinstance(result, ProviderResult) or not result.transient
    if isinstance(results[-1], Failure):
        assert results[-1].transient, "the saga asks again for what is left"


async def test_part_whose_answer_was_lost_is_found_by_its_id(stripe: Stripe, double: StripeDouble) -> None:
    name = await captured(stripe, "pm_card_visa")
    double.lost = ["refunds"]
    lost = await stripe.refund_part(f"{ORDER}:rfd_1", name, gbp("4.00"), "rfd_1")
    assert isinstance(lost, Failure)
    assert lost.transient
    double.lost = []
    double.answers.clear()  # Stripe forgets keys after a day
    found = await stripe.refund_part(f"{ORDER}:rfd_1", name, gbp("4.00"), "rfd_1")
    assert isinstance(found, ProviderResult)
    assert [fact.refund_id for fact in found.facts if fact.reference == found.refund_id] == ["rfd_1"]
    assert double.intents[name]["latest_charge"]["amount_refunded"] == 400


async def test_part_is_found_among_more_refunds_than_a_charge_lists(stripe: Stripe, double: StripeDouble) -> None:
    name = await captured(stripe, "pm_card_visa")
    await stripe.refund_part(f"{ORDER}:rfd_1", name, gbp("4.00"), "rfd_1")
    refunds = double.intents[name]["latest_charge"]["refunds"]
    double.older_refunds, refunds["data"], refunds["has_more"] = refunds["data"], [], True
    double.answers.clear()
    found = await stripe.refund_part(f"{ORDER}:rfd_1", name, gbp("4.00"), "rfd_1")
    assert isinstance(found, ProviderResult)
    assert double.intents[name]["latest_charge"]["amount_refunded"] == 400


async def test_part_that_stripe_cannot_pay_is_refused_with_the_reason(stripe: Stripe, double: StripeDouble) -> None:
    name = await captured(stripe, "pm_card_visa")
    refused = await stripe.refund_part("k", name, Money(amount=Decimal("0.001"), currency="GBP"), "rfd_1")
    assert isinstance(refused, Failure)
    assert (refused.code, refused.transient) == ("bad-amount", False)


async def test_card_challenge_is_a_final_failure(stripe: Stripe) -> None:
    answer = await stripe.authorize("k", TEN, card("pm_card_challenge"))
    assert isinstance(answer, Failure)
    assert not answer.transient


@pytest.mark.parametrize(
    "failure",
    [
        error(429, type="invalid_request_error", code="rate_limit"),
        (429, {"error": {}}, {"Retry-After": "1"}),
        error(409, type="idempotency_error"),
        error(503, type="api_error"),
        1.5,
    ],
    ids=["rate limit", "retry after", "under way", "unavailable", "silence"],
)
async def test_transient_failure_is_retried_with_the_same_key(stripe: Stripe, double: StripeDouble, failure) -> None:
    double.failures = [failure]
    assert isinstance(await stripe.authorize("ord_1:authorize", TEN, card("pm_card_visa")), ProviderResult)
    assert [key for _, _, _, key in double.calls] == ["ord_1:authorize"] * 2
    assert len(double.intents) == 1


async def test_failure_of_every_attempt_is_transient_for_the_saga(stripe: Stripe, double: StripeDouble) -> None:
    double.failures = [error(500, type="api_error")] * 9
    answer = await stripe.authorize("k", TEN, card("pm_card_visa"))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.transient) == ("provider-busy", True)
    assert len(double.calls) == QUICK.attempts_max


async def test_wrong_secret_key_is_a_transient_failure(double: StripeDouble) -> None:
    stripe = Stripe(plain("sk_wrong"), double.url, Target(QUICK))
    answer = await stripe.authorize("k", TEN, card("pm_card_visa"))
    assert isinstance(answer, Failure)
    assert (answer.code, answer.transient) == ("provider-refuses-us", True)
    await stripe.close()


async def test_idempotency_key_reused_for_another_call_is_a_final_failure(stripe: Stripe) -> None:
    await stripe.authorize("k", TEN, card("pm_card_visa"))
    other = await stripe.authorize("k", Money(amount=Decimal("11.00"), currency="GBP"), card("pm_card_visa"))
    assert isinstance(other, Failure)
    assert (other.code, other.transient) == ("idempotency-error", False)


async def test_unreachable_stripe_is_a_transient_failure() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        stripe = Stripe(plain(KEY), f"http://127.0.0.1:{taken.getsockname()[1]}", Target(QUICK))
        answer = await stripe.authorize("k", TEN, card("pm_card_visa"))
        await stripe.close()
    assert isinstance(answer, Failure)
    assert (answer.code, answer.transient) == ("provider-away", True)


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        ("10.5", "GBP", 1050),
        ("500", "JPY", 500),
        ("11", "XAF", 11),
        ("1.05", "KWD", 1050),
        ("1000", "UGX", 100_000),
        ("5", "ISK", 500),
        ("7", "MGA", 7),
    ],
)
def test_amounts_in_minor_units(amount: str, currency: str, units: int) -> None:
    money = Money(amount=Decimal(amount), currency=currency)
    assert minor_units(money) == units
    assert of_minor_units(units, currency.lower()).amount == money.amount


@pytest.mark.parametrize(
    ("amount", "currency", "step"),
    [("0.125", "GBP", "0.01"), ("1.005", "KWD", "0.010"), ("10.5", "UGX", "1.00"), ("1.5", "JPY", "1")],
)
async def test_amount_that_stripe_does_not_take_is_refused_with_the_reason_and_without_a_call(
    stripe: Stripe, double: StripeDouble, amount: str, currency: str, step: str
) -> None:
    answer = await stripe.authorize("k", Money(amount=Decimal(amount), currency=currency), card("pm_card_visa"))
    assert isinstance(answer, Failure)
    assert (answer.code, double.calls) == ("bad-amount", [])
    assert f"in steps of {step}, so {amount} " in answer.detail


# The webhook


def event(type_: str, event_id: str = "evt_1", **thing: Any) -> bytes:
    body = {"id": "pi_1", "currency": "gbp", "amount": 500, "metadata": {"order_id": ORDER}, **thing}
    return json.dumps({"id": event_id, "object": "event", "type": type_, "data": {"object": body}}).encode()


def signed(payload: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), b"%d.%s" % (moment, payload), sha256).hexdigest()
    return {"Stripe-Signature": f"t={moment},v1={digest}", "Content-Type": "application/json; charset=utf-8"}


class Shop:
    """All services, with payments through Stripe, and a client of the webhook."""

    def __init__(self, system: Any, double: StripeDouble) -> None:
        self.system, self.double = system, double
        self.client = system.bus.clients["payments"]

    async def hear(self, payload: bytes, headers: dict[str, str] | None = None) -> int:
        given = signed(payload) if headers is None else headers
        answer = await self.client.post(
            "/payments/webhooks/stripe", content=payload, headers={"Authorization": "", **given}
        )
        return answer.status_code

    async def buy(self, token: str = "pm_card_visa") -> str:
        await self.system.stock("P", 5)
        answer = await self.system.place(an_order(("P", 2), token=token))
        await self.system.bus.quiet()
        return answer.json()["order_id"]

    async def payment(self, order_id: str) -> dict[str, Any]:
        return (await self.client.get(f"/payments/{order_id}", headers=authorization())).json()


@pytest.fixture
async def shop(database, double: StripeDouble) -> AsyncGenerator[Shop]:
    settings: Any = {
        "provider": "stripe",
        "stripe_url": double.url,
        "stripe_key": plain(KEY),
        "stripe_webhook_secrets": plain(f"{SECRET},whsec_{'n' * 32}"),
    }
    async with running(database, **settings) as system:
        yield Shop(system, double)


async def test_an_order_is_paid_through_stripe(shop: Shop) -> None:
    order_id = await shop.buy()
    (intent,) = shop.double.intents.values()
    assert (intent["status"], intent["amount_received"]) == ("succeeded", 500)
    assert intent["metadata"] == {"order_id": order_id}
    assert (await shop.payment(order_id))["status"] == "captured"
    assert len(await shop.system.said("orders.order.confirmed")) == 1


async def test_an_order_that_is_declined_by_stripe_fails(shop: Shop) -> None:
    order_id = await shop.buy("pm_card_declined")
    assert (await shop.payment(order_id))["status"] == "declined"
    assert len(await shop.system.said("orders.order.failed")) == 1


async def test_a_refund_made_elsewhere_is_recorded_once(shop: Shop) -> None:
    order_id = await shop.buy()
    refund = event(
        "charge.refunded",
        id="ch_1",
        payment_intent="pi_1",
        refunded=True,
        amount_refunded=500,
        metadata={"order_id": order_id},
    )
    assert [await shop.hear(refund) for _ in range(3)] == [204] * 3
    assert (await shop.payment(order_id))["status"] == "refunded"
    (said,) = await shop.system.said("payments.provider.reported")
    assert (said["what"], said["amount"]) == ("refunded", {"amount": "5.00", "currency": "GBP"})


async def test_refund_by_staff_goes_to_stripe_and_its_webhook_adds_nothing(shop: Shop) -> None:
    order_id = await shop.buy()
    body = {"amount": {"amount": "2.00", "currency": "GBP"}, "reason": "The mug arrived broken."}
    assert (await shop.client.post(f"/payments/{order_id}/refunds", json=body)).status_code == 202
    await shop.system.bus.quiet()
    (refund,) = (await shop.payment(order_id))["refunds"]
    assert (refund["status"], refund["amount"], refund["reason"]) == ("succeeded", body["amount"], body["reason"])
    ids: dict[str, Any] = {"payment_intent": "pi_1", "metadata": {"order_id": order_id}}
    told = event("charge.refunded", "evt_1", id="ch_1", amount_refunded=200, **ids)
    updated = event("refund.updated", "evt_2", id=refund["reference"], amount=200, status="succeeded", **ids)
    assert [await shop.hear(each) for each in (told, updated)] == [204, 204]
    assert await shop.system.said("payments.provider.reported") == []
    assert len(await shop.system.said("payments.provider.updated")) == 1


async def test_refund_by_staff_whose_answer_was_lost_is_known_from_the_webhook(shop: Shop) -> None:
    order_id = await shop.buy()
    shop.double.lost = ["refunds"]
    body = {"amount": {"amount": "2.00", "currency": "GBP"}, "reason": "The mug arrived broken."}
    accepted = (await shop.client.post(f"/payments/{order_id}/refunds", json=body)).json()
    charge = shop.double.intents["pi_1"]["latest_charge"]
    await until(lambda: charge["amount_refunded"] == 200)
    ids: Any = {"payment_intent": "pi_1", "metadata": {"order_id": order_id, "refund_id": accepted["refund_id"]}}
    updated = event("refund.updated", id="re_pi_1_1", amount=200, status="succeeded", **ids)
    assert await shop.hear(updated) == 204
    shop.double.lost = []
    await shop.system.bus.quiet()
    (refund,) = (await shop.payment(order_id))["refunds"]
    assert (refund["refund_id"], refund["status"]) == (accepted["refund_id"], "succeeded")
    assert shop.double.intents["pi_1"]["latest_charge"]["amount_refunded"] == 200
    assert len(await shop.system.said("orders.order.refunded")) == 1


async def test_own_refund_is_not_reported(shop: Shop) -> None:
    order_id = await shop.buy()
    answer = await shop.system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"})
    assert answer.status_code == 202
    await shop.system.bus.quiet()
    refund = event(
        "charge.refunded",
        id="ch_1",
        payment_intent="pi_1",
        refunded=True,
        amount_refunded=500,
        metadata={"order_id": order_id},
    )
    assert await shop.hear(refund) == 204
    assert await shop.system.said("payments.provider.reported") == []


async def test_card_of_an_order_that_staff_capture_is_saved_and_renewed(shop: Shop) -> None:
    await shop.system.stock("P", 5)
    body = an_order(("P", 2), token="pm_card_visa", capture="by_hand")
    order_id = (await shop.system.place(body)).json()["order_id"]
    await shop.system.bus.quiet()
    first = shop.double.intents["pi_1"]
    assert first["customer"] == "cus_1"
    shop.double.expire(first)
    gone = event("charge.expired", "evt_1", id="ch_1", payment_intent="pi_1", metadata={"order_id": order_id})
    canceled = event("payment_intent.canceled", "evt_2", cancellation_reason="automatic")
    for payload in (about(canceled, order_id), gone):
        assert await shop.hear(payload) == 204
    await shop.system.bus.quiet()
    (form,) = [form for _, _, form, _ in shop.double.calls if form.get("off_session")]
    assert (form["customer"], form["payment_method"], form["amount"]) == ("cus_1", "pm_card_visa", "500")
    shown = await shop.payment(order_id)
    assert (shown["status"], shown["transaction_id"]) == ("authorized", "pi_2")
    answer = await shop.system.bus.clients["payments"].post(f"/payments/{order_id}/capture")
    assert answer.status_code == 202
    await shop.system.bus.quiet()
    assert shop.double.intents["pi_2"]["status"] == "succeeded"
    assert len(await shop.system.said("orders.order.confirmed")) == 1


@pytest.mark.parametrize(
    ("token", "policy", "code"),
    [
        ("pm_card_visa", "when_reserved", "card-not-saved"),
        ("pm_card_authenticate", "by_hand", "card-declined"),
        ("pm_card_visa", "by_hand", ""),
    ],
)
async def test_authorization_is_renewed_only_with_a_saved_card_that_needs_no_challenge(
    stripe: Stripe, double: StripeDouble, token: str, policy: Any, code: str
) -> None:
    held = await stripe.authorize("ord_1:authorize", TEN, card(token), policy)
    assert isinstance(held, ProviderResult)
    double.expire(double.intents[held.transaction_id])
    assert [fact.what for fact in await stripe.look(held.transaction_id)] == ["expired"]
    for _ in range(2):
        renewed = await stripe.renew("ord_1:renew", held.transaction_id, TEN)
        assert (renewed.code if isinstance(renewed, Failure) else "") == code
    assert len(double.intents) == (1 if code else 2)
    assert await stripe.find("ord_1") == ("pi_1" if code else "pi_2")


async def test_surcharge_is_charged_once_to_the_saved_card_and_found_by_its_edit(double: StripeDouble) -> None:
    stripe = Stripe(plain(KEY), double.url, Target(QUICK), save_cards=True)
    held = await stripe.authorize("ord_1:authorize", TEN, card("pm_card_visa"))
    assert isinstance(held, ProviderResult)
    call = Call("surcharge", held.transaction_id, TEN, charge_id="edt_1")
    for _ in range(2):
        charged = await call_provider(stripe, "ord_1", "ord_1:surcharge:edt_1", call)
        assert isinstance(charged, ProviderResult)
        assert [(fact.what, fact.charge_id) for fact in charged.facts] == [
            ("authorized", "edt_1"), ("captured", "edt_1"),
        ]  # fmt: skip
    assert len(double.intents) == 2
    assert (await stripe.find("ord_1"), await stripe.find("ord_1", "edt_1")) == ("pi_1", "pi_2")
    assert await stripe.find("ord_1", "edt_2") == ""
    await stripe.close()


@pytest.mark.parametrize(
    ("save_cards", "token", "code"),
    [(False, "pm_card_visa", "card-not-saved"), (True, "pm_card_authenticate", "card-declined")],
)
async def test_surcharge_is_refused_without_a_saved_card_that_needs_no_challenge(
    double: StripeDouble, save_cards: bool, token: str, code: str
) -> None:
    stripe = Stripe(plain(KEY), double.url, Target(QUICK), save_cards=save_cards)
    held = await stripe.authorize("ord_1:authorize", TEN, card(token))
    assert isinstance(held, ProviderResult)
    refused = await stripe.surcharge("ord_1:surcharge:edt_1", held.transaction_id, TEN, "edt_1")
    assert isinstance(refused, Failure)
    assert (refused.code, refused.transient) == (code, False)
    await stripe.close()


async def test_webhook_finds_the_charge_of_an_edit_whose_answer_was_lost(database: Any, double: StripeDouble) -> None:
    settings: Any = {
        "provider": "stripe", "stripe_url": double.url, "stripe_key": plain(KEY), "stripe_save_cards": True,
        "stripe_webhook_secrets": plain(SECRET),
    }  # fmt: skip
    async with running(database, **settings) as system:
        shop = Shop(system, double)
        order_id = await shop.buy()
        double.lost.append("/v1/payment_intents")
        edit = {"lines": [{"line": 1, "quantity": 3}], "reason": "one more"}
        answer = await system.orders.post(f"/orders/{order_id}/edits", json=edit)
        assert answer.json()["difference"] == {"amount": "2.50", "currency": "GBP"}
        metadata = {"order_id": order_id, "charge_id": answer.json()["edit_id"]}
        await system.bus.quiet()
        done = event("payment_intent.succeeded", id="pi_2", amount=250, amount_received=250, metadata=metadata)
        assert await shop.hear(done) == 204
        await system.bus.quiet()
        paid = await shop.payment(order_id)
        assert [each["transaction_id"] for each in paid["charges"]] == ["pi_1", "pi_2"]
        assert len(await system.said("orders.order.edited")) == 1
        body = {"amount": {"amount": "6.00", "currency": "GBP"}, "reason": "broken"}
        await shop.client.post(f"/payments/{order_id}/refunds", json=body, headers=authorization())
        await system.bus.quiet()
        sent = [form for method, path, form, _ in double.calls if (method, path) == ("POST", "/v1/refunds")]
        assert sorted((form["payment_intent"], form["amount"]) for form in sent) == [("pi_1", "500"), ("pi_2", "100")]


async def test_refund_of_lines_is_one_refund_with_our_id(shop: Shop) -> None:
    order_id = await shop.buy()
    body = {"lines": [{"line": 1, "quantity": 1}], "reason": "broken"}
    answer = await shop.system.bus.clients["payments"].post(f"/payments/{order_id}/refunds", json=body)
    assert answer.status_code == 202, answer.text
    await shop.system.bus.quiet()
    (form,) = [form for method, path, form, _ in shop.double.calls if (method, path) == ("POST", "/v1/refunds")]
    assert (form["amount"], form["metadata[refund_id]"]) == ("250", answer.json()["refund_id"])
    (made,) = (await shop.payment(order_id))["refunds"]
    assert (made["status"], [line["quantity"] for line in made["lines"]]) == ("succeeded", [1])


async def test_dispute_is_reported_for_the_order_of_its_payment(shop: Shop) -> None:
    order_id = await shop.buy()
    dispute = event("charge.dispute.created", id="dp_1", payment_intent="pi_1", metadata={})
    assert await shop.hear(dispute) == 204
    (said,) = await shop.system.said("payments.provider.reported")
    assert (said["order_id"], said["what"]) == (order_id, "disputed")


async def test_authorization_of_a_closed_payment_is_voided(shop: Shop) -> None:
    order_id = await shop.buy("pm_card_declined")
    _, stray, _ = shop.double.create(
        {"payment_method": "x", "amount": "500", "currency": "gbp", "metadata[order_id]": order_id}
    )
    held = event("payment_intent.amount_capturable_updated", id=stray["id"], metadata={"order_id": order_id})
    assert await shop.hear(held) == 204
    assert stray["status"] == "canceled"


async def test_answers_of_capture_and_refund_that_are_lost_end_well(shop: Shop) -> None:
    shop.double.lost = ["capture"]
    order_id = await shop.buy()
    await shop.system.at_rest()
    assert shop.double.intents["pi_1"]["latest_charge"]["amount_refunded"] == 500
    assert (await shop.payment(order_id))["status"] == "refunded"
    assert len(await shop.system.said("fulfillment.run.compensated")) == 1
    assert await shop.system.said("fulfillment.run.stuck") == []


async def test_lost_answers_of_a_refund_do_not_repeat_it(stripe: Stripe, double: StripeDouble) -> None:
    held = await stripe.authorize("o:authorize", TEN, card("pm_card_visa"))
    assert isinstance(held, ProviderResult)
    double.lost = ["capture", "refunds"]
    assert isinstance(await stripe.capture("o:capture", held.transaction_id, TEN), Failure)
    assert isinstance(await stripe.refund("o:refund", held.transaction_id), Failure)
    again = await stripe.refund("o:refund", held.transaction_id)
    assert isinstance(again, ProviderResult)
    assert {fact.what for fact in again.facts} == {"authorized", "captured", "refund_succeeded"}
    assert len(double.intents["pi_1"]["latest_charge"]["refunds"]["data"]) == 1


def refund_event(type_: str, status: str, event_id: str, amount: int = 500) -> bytes:
    return event(type_, event_id, id="re_pi_1_1", payment_intent="pi_1", status=status, amount=amount, metadata={})


@pytest.mark.parametrize("type_", ["refund.failed", "refund.updated", "charge.refund.updated"])
async def test_refund_that_fails_later_is_heard_and_the_run_is_stuck(shop: Shop, type_: str) -> None:
    order_id = await shop.buy()
    await shop.system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"})
    await shop.system.bus.quiet()
    assert (await shop.payment(order_id))["status"] == "refunded"
    shop.double.end_refund(shop.double.intents["pi_1"]["latest_charge"]["refunds"]["data"][0], "failed")
    assert await shop.hear(refund_event(type_, "failed", "evt_2")) == 204
    await shop.system.bus.quiet()
    assert (await shop.payment(order_id))["status"] == "refund_failed"
    (stuck,) = await shop.system.said("fulfillment.run.stuck")
    assert stuck["error_code"] == "refund-failed"
    answer = await shop.system.bus.clients["fulfillment"].post(f"/fulfillments/{order_id}/resume")
    assert answer.status_code == 202
    await shop.system.bus.quiet()
    assert (await shop.payment(order_id))["status"] == "refunded"
    assert len(await shop.system.said("fulfillment.run.compensated")) == 2


@pytest.mark.parametrize(
    ("end", "payment", "order"), [("succeeded", "refunded", "cancelled"), ("failed", "refund_failed", "stuck")]
)
async def test_pending_refund_is_done_when_it_arrives(shop: Shop, end: str, payment: str, order: str) -> None:
    shop.double.refund_status = "pending"
    order_id = await shop.buy()
    await shop.system.orders.post(f"/orders/{order_id}/cancel", json={"reason": "no longer wanted"})
    await shop.system.bus.quiet()
    assert (await shop.payment(order_id))["status"] == "refund_pending"
    assert len(await shop.system.said("fulfillment.step.pending")) == 1
    assert await shop.system.said("orders.order.cancelled") == []
    shop.double.end_refund(shop.double.intents["pi_1"]["latest_charge"]["refunds"]["data"][0], end)
    for number in range(2):
        assert await shop.hear(refund_event("refund.updated", end, f"evt_{number}")) == 204
    await shop.system.bus.quiet()
    assert (await shop.payment(order_id))["status"] == payment
    said = {"cancelled": "orders.order.cancelled", "stuck": "fulfillment.run.stuck"}
    assert [len(await shop.system.said(said[name])) for name in said] == [order == name for name in said]


UNPAID = {
    "refunded in full": event("charge.refunded", payment_intent="pi_1", refunded=True, amount_refunded=500),
    "disputed": event("charge.dispute.created", id="dp_1", payment_intent="pi_1", status="needs_response"),
    "asked about": event("charge.dispute.created", id="dp_1", payment_intent="pi_1", status="warning_needs_response"),
    "withdrawn": event("charge.dispute.funds_withdrawn", id="dp_1", payment_intent="pi_1", status="needs_response"),
    "lost": event("charge.dispute.closed", id="dp_1", payment_intent="pi_1", status="lost"),
}


def about(payload: bytes, order_id: str) -> bytes:
    return payload.replace(f'"{ORDER}"'.encode(), f'"{order_id}"'.encode())


@pytest.mark.parametrize("name", UNPAID)
async def test_unshipped_order_that_is_not_paid_any_more_is_not_shipped(shop: Shop, name: str) -> None:
    order_id = await shop.buy()
    assert len(await shop.system.said("shipping.shipment.created")) == 1
    assert await shop.hear(about(UNPAID[name], order_id)) == 204
    await shop.system.bus.quiet()
    assert len(await shop.system.said("shipping.shipment.cancelled")) == 1
    assert len(await shop.system.said("orders.order.cancelled")) == 1
    assert await shop.system.level("P") == (5, 0)


async def test_shipped_order_and_partly_refunded_order_go_on(shop: Shop) -> None:
    order_id = await shop.buy()
    part = event("charge.refunded", "evt_part", payment_intent="pi_1", refunded=False, amount_refunded=100)
    assert await shop.hear(about(part, order_id)) == 204
    await shop.system.bus.quiet()
    carrier = shop.system.bus.clients["shipping"]
    answer = await carrier.post(f"/shipments/{order_id}/tracking", json={"status": "dispatched"})
    assert answer.status_code == 202
    await shop.system.bus.quiet()
    assert await shop.hear(about(UNPAID["disputed"], order_id)) == 204
    await shop.system.bus.quiet()
    assert await shop.system.said("fulfillment.run.compensating") == []
    assert (await shop.payment(order_id))["status"] == "disputed"
    won = event("charge.dispute.closed", "evt_won", id="dp_1", payment_intent="pi_1", status="won")
    assert await shop.hear(about(won, order_id)) == 204
    shown = await shop.payment(order_id)
    assert (shown["status"], shown["dispute"], shown["refunded"]["amount"]) == ("captured", "won", "1.00")


async def test_authorization_whose_answer_arrives_after_the_order_ended_is_voided(shop: Shop) -> None:
    system = shop.system
    shop.double.slow_seconds, shop.double.search_is_behind = 3.0, True
    placing = asyncio.create_task(shop.buy())
    while not shop.double.intents:
        await asyncio.sleep(0.02)
    (order_id,) = [each["saga_id"] for each in await system.said("fulfillment.payment.process")]
    void = PaymentVoid(saga_id=order_id, step="authorize_payment", undo=True)
    headers = {
        "ce-specversion": "1.0", "ce-id": "void:1", "ce-source": "/zerocart/fulfillment", "ce-type": void.type,
        "ce-subject": order_id, "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json",
    }  # fmt: skip
    assert (await shop.client.post("/events", content=void.write(), headers=headers)).status_code == 204
    await placing
    await system.at_rest()
    assert (await shop.payment(order_id))["status"] == "voided"
    assert [intent["status"] for intent in shop.double.intents.values()] == ["canceled"]


async def test_events_without_a_recent_signature_of_stripe_are_refused(shop: Shop) -> None:
    order_id = await shop.buy()
    payload = event(
        "charge.refunded",
        id="ch_1",
        payment_intent="pi_1",
        refunded=True,
        amount_refunded=500,
        metadata={"order_id": order_id},
    )
    good, now = signed(payload), time.time()
    stamp, _, digest = good["Stripe-Signature"].partition(",v1=")
    json_only = {"Content-Type": "application/json"}
    forged = {
        "none": json_only,
        "empty": {**json_only, "Stripe-Signature": ""},
        "another secret": signed(payload, "whsec_other"),
        "an empty secret": signed(payload, ""),
        "another body": signed(payload + b" "),
        "old": signed(payload, at=now - 301),
        "from the future": signed(payload, at=now + 600),
        "another time": {**good, "Stripe-Signature": f"t={int(now) - 5},v1={digest}"},
        "two times": {**good, "Stripe-Signature": f"{good['Stripe-Signature']},t=1"},
        "no time": {**good, "Stripe-Signature": f"v1={digest}"},
        "a time that is no number": {**good, "Stripe-Signature": f"t=1e9,v1={digest}"},
        "another scheme": {**good, "Stripe-Signature": f"{stamp},v0={digest}"},
        "a short digest": {**good, "Stripe-Signature": f"{stamp},v1={digest[:10]}"},
        "a token instead": {**json_only, **authorization()},
    }
    assert {name: await shop.hear(payload, headers) for name, headers in forged.items()} == dict.fromkeys(forged, 401)
    assert await shop.system.said("payments.provider.reported") == []
    several = {**good, "Stripe-Signature": f"{stamp},v1={'0' * 64},v1={digest}"}
    assert await shop.hear(payload, several) == 204
    assert await shop.hear(payload, signed(payload, f"whsec_{'n' * 32}")) == 204  # the next secret, being rotated in


async def test_a_body_without_a_plausible_signature_is_not_read(shop: Shop) -> None:
    reads = 0

    async def body() -> AsyncGenerator[bytes]:
        nonlocal reads
        reads += 1
        yield b"{}"

    now, zeros = int(time.time()), "0" * 64
    path, plain_json = "/payments/webhooks/stripe", {"Content-Type": "application/json", "Authorization": ""}
    for header in ("", f"v1={zeros}", f"t={now}", f"t={now},v1=0", f"t={now - 301},v1={zeros}", f"t=x,v1={zeros}"):
        answer = await shop.client.post(path, content=body(), headers={**plain_json, "Stripe-Signature": header})
        assert (answer.status_code, reads) == (401, 0), header
    forged = {**plain_json, "Stripe-Signature": f"t={now},v1={zeros}"}
    assert (await shop.client.post(path, content=body(), headers=forged)).status_code == 401
    assert reads == 1


async def test_an_event_with_the_longest_evidence_of_a_dispute_is_accepted(shop: Shop) -> None:
    order_id = await shop.buy()
    evidence = {"uncategorized_text": "ü" * 150_000}
    payload = event("charge.dispute.updated", id="dp_1", payment_intent="pi_1", evidence=evidence,
                    status="under_review", metadata={"order_id": order_id})  # fmt: skip
    assert len(payload) > 800_000
    assert await shop.hear(payload) == 204


@pytest.mark.parametrize(
    "payload", [b"", b"{}", b"[]", b"nonsense", b'{"id":"e","type":"charge.refunded","data":{}}', b'{"id": NaN}']
)
async def test_body_that_is_no_event_is_refused(shop: Shop, payload: bytes) -> None:
    assert 400 <= await shop.hear(payload) < 500


async def test_other_events_are_accepted_and_ignored(shop: Shop) -> None:
    assert await shop.hear(event("payment_intent.created")) == 204
    assert await shop.hear(event("charge.refunded", refunded=True, metadata={"order_id": "ord_unknown"})) == 204
    assert await shop.hear(event("payment_intent.canceled", metadata={})) == 204


def test_unknown_provider_is_refused_by_name(database) -> None:
    store = PostgresEventStore(database.dsn("payments"), "payments")
    shared = Settings(service="payments", **TRUST)
    host = Host.of(shared, store, Bus(), PostgresFailedMessages(store), MemoryVault())
    with pytest.raises(Exception, match="ZEROCART_PAYMENTS_PROVIDER"):
        create_app(host, settings=PaymentsSettings(provider="paypal"))


# Stripe's own mock server: it checks every request against the API's specification


async def test_stripes_own_mock_understands_every_request(stripe_mock: str) -> None:
    stripe = Stripe(plain("sk_test_123"), stripe_mock, Target(Policy(name="stripe")))
    try:
        # it answers every create with one example, whose status is not ours; what it refuses is a 4xx
        held = await stripe.authorize("k1", TEN, card("pm_card_visa"))
        assert isinstance(held, ProviderResult) or held.code == "not-authorized", held
        assert isinstance(await stripe.capture("k2", "pi_1", TEN), ProviderResult)
        assert isinstance(await stripe.void("k3", "pi_1"), ProviderResult)
        assert isinstance(await stripe.refund("k4", "pi_1"), ProviderResult)
        assert isinstance(await stripe.find("ord_1"), str)
        assert isinstance(await stripe.order_of("pi_1"), str)
        assert {fact.transaction_id for fact in await stripe.look("pi_1")} <= {"pi_1"}
        disputes = await stripe._ask("GET", "/v1/disputes", {"payment_intent": "pi_1"}, "")
        assert not isinstance(disputes, Failure), disputes
    finally:
        await stripe.close()


async def test_stripes_own_mock_refuses_unknown_parameters(stripe_mock: str) -> None:
    async with httpx.AsyncClient(base_url=stripe_mock, headers={"Authorization": "Bearer sk_test_123"}) as client:
        answer = await client.post("/v1/payment_intents", data={"amount": "1", "currency": "gbp", "nonsense": "1"})
    assert answer.status_code == 400
