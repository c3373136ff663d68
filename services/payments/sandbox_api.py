"""REST of the sandbox provider: let happen what happens at a real provider without a call of payments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

from services.contracts.payments import ReportedChange
from services.kit.auth.access import needs
from services.kit.domain.errors import FieldError, Invalid, NotFound
from services.kit.rest.answers import Answer
from services.kit.rest.app import Handler, UnmarkedCause, json_router, provided
from services.kit.rest.bodies import RequestBody
from services.payments.answers import Payment
from services.payments.api import OrderId, shown
from services.payments.bodies import Amount
from services.payments.domain import PAYMENT
from services.payments.reactions import Payments
from services.payments.sandbox import Sandbox
from services.payments.transactions import Fact

__all__ = ["routes"]

routes = json_router()
NAMING_A_REFUND: frozenset[ReportedChange] = frozenset({"refund_pending", "refund_succeeded", "refund_failed"})


class FactBody(RequestBody):
    """A change at the provider; `reference` names the refund or the dispute, so that it can end later.

    It happens to the first charge of the order, or to that of `transaction_id`.
    """

    what: ReportedChange
    amount: Amount | None = None
    reference: Annotated[str, Field(max_length=200, pattern=r"^[!-~]*$")] = ""
    transaction_id: Annotated[str, Field(max_length=200, pattern=r"^[!-~]*$")] = ""


@routes.post("/payments/{order_id}/sandbox", dependencies=[needs("payments:write")])
async def cause_fact(
    order_id: OrderId,
    body: FactBody,
    cause: UnmarkedCause,
    handler: Handler,
    sandbox: Annotated[Sandbox, provided(Sandbox)],
) -> Answer[Payment]:
    """Let something happen at the sandbox.

    Does what a customer, a bank or a colleague does at a real provider: refunds the payment, lets a pending refund
    arrive or fail, opens or ends a dispute, ends the authorization. The payment hears of it as by a webhook. Refused
    (404) if the sandbox has no such transaction for the order, and (422) if the amount of a new refund is missing. This
    route exists with the sandbox provider only.
    """
    transaction_id = await _transaction(order_id, body, sandbox)
    facts = await sandbox.look(transaction_id)
    if body.what in NAMING_A_REFUND and body.amount is None and not _is_known(body.reference, facts):
        detail = "The sandbox knows no refund with this reference: name its amount, or the reference of a known one."
        raise Invalid("amount-missing", detail, (FieldError("amount", "missing", detail),))
    fact = Fact(body.what, transaction_id, body.amount and body.amount.money, body.reference)
    await sandbox.cause(fact)
    await Payments(handler, sandbox).report(order_id, (fact,), cause)
    return Answer(shown(order_id, (await handler.reload(PAYMENT, order_id)).state))


async def _transaction(order_id: str, body: FactBody, sandbox: Sandbox) -> str:
    of_order = await sandbox.transactions(order_id)
    wanted = body.transaction_id or await sandbox.find(order_id)
    if wanted not in of_order:
        raise NotFound("payment-not-found", f"The sandbox has no such transaction for order {order_id}.")
    return wanted


def _is_known(reference: str, facts: Iterable[Fact]) -> bool:
    return any(fact.what in NAMING_A_REFUND and fact.reference == reference for fact in facts)
