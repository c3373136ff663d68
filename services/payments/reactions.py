"""What payments does about what it hears: ask the provider where needed, and record the answer."""

from __future__ import annotations

from services.contracts.orders import PaymentMethod
from services.contracts.payments import PaymentCapture, PaymentProcess, PaymentRefund, PaymentVoid
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Money
from services.kit.events.handlers import Reactions, Received
from services.payments.domain import PAYMENT, Ask, Record, Verb, call_for
from services.payments.provider import Provider, ask_provider

__all__ = ["reactions"]

Request = PaymentProcess | PaymentCapture | PaymentVoid | PaymentRefund


def reactions(handler: CommandHandler, provider: Provider) -> Reactions:
    """The messages that payments handles."""

    async def answer(
        request: Request, heard: Received, verb: Verb, amount: Money | None = None, method: PaymentMethod | None = None
    ) -> None:
        ask = Ask(
            saga_id=request.saga_id,
            step=request.step,
            undo=request.undo,
            attempt=request.attempt,
            verb=verb,
            amount=amount,
            too_late=heard.expired,
        )
        payment = await handler.reload(PAYMENT, request.saga_id)
        call = call_for(ask, payment.state)
        found = await ask_provider(provider, request.saga_id, call, method) if call else None
        await handler.handle(PAYMENT, request.saga_id, Record(at=heard.now, ask=ask, answer=found), heard.cause)

    async def process(message: PaymentProcess, heard: Received) -> None:
        await answer(message, heard, "authorize", message.amount, message.payment_method)

    async def capture(message: PaymentCapture, heard: Received) -> None:
        await answer(message, heard, "capture", message.amount)

    async def void(message: PaymentVoid, heard: Received) -> None:
        await answer(message, heard, "void")

    async def refund(message: PaymentRefund, heard: Received) -> None:
        await answer(message, heard, "refund")

    hears = Reactions()
    hears.on(PaymentProcess, process)
    hears.on(PaymentCapture, capture)
    hears.on(PaymentVoid, void)
    hears.on(PaymentRefund, refund)
    return hears
