"""A payment provider for development that behaves by the card's token, and stores its transactions in Postgres.

`tok_approve` succeeds. `tok_decline` declines the authorization, `tok_decline_capture` the capture. `tok_fail_once`
fails the first authorization with a transient error. `tok_timeout_once` authorizes, and loses the first reply. Any
other token is declined as unknown.
"""

from __future__ import annotations

from decimal import Decimal

from services.contracts.orders import PaymentMethod
from services.kit.domain.message import Money
from services.kit.eventstore.port import EventStore, Transaction
from services.kit.saga.participant import Failure
from services.payments.domain import ProviderResult

__all__ = ["Sandbox"]

BY_TRANSACTION = "SELECT kind, amount, currency, token, order_id FROM sandbox_ledger WHERE transaction_id = $1"
OF_ORDER = "SELECT transaction_id FROM sandbox_ledger WHERE order_id = $1 AND kind = 'authorize'"
WRITE = """
    INSERT INTO sandbox_ledger (key, order_id, kind, transaction_id, amount, currency, token)
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
"""
FIRST_TIME = "INSERT INTO sandbox_faults (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key"

DECLINED = Failure("card-declined", "the card was declined", transient=False)
UNKNOWN = Failure("unknown-card", "there is no such card", transient=False)
BUSY = Failure("provider-error", "the provider is busy: try again later", transient=True)
LOST = Failure("provider-timeout", "the provider did not answer in time", transient=True)


class Sandbox:
    """A Provider whose transactions are rows in tables of the payments service."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def authorize(self, key: str, amount: Money, method: PaymentMethod) -> ProviderResult | Failure:
        """Hold the amount, if the token approves."""
        if method.token == "tok_decline":  # noqa: S105 - names a behaviour, is no secret
            return DECLINED
        if not method.token.startswith(("tok_approve", "tok_decline_capture", "tok_fail_once", "tok_timeout_once")):
            return UNKNOWN
        order_id = key.partition(":")[0]
        async with self._store.transaction() as transaction:
            first = await self._first_time(transaction, key)
            if method.token == "tok_fail_once" and first:  # noqa: S105
                return BUSY
            await transaction.execute(
                WRITE, key, order_id, "authorize", f"txn_{order_id}", amount.amount, amount.currency, method.token
            )
        if method.token == "tok_timeout_once" and first:  # noqa: S105
            return LOST
        return ProviderResult(f"txn_{order_id}", amount)

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge the amount, unless it was voided or the token declines captures."""
        async with self._store.transaction() as transaction:
            kinds, token, held = await self._transaction(transaction, transaction_id)
            if "authorize" not in kinds or "void" in kinds or held is None or amount.amount > held.amount:
                return Failure("nothing-held", "this amount is not held", transient=False)
            if token == "tok_decline_capture":  # noqa: S105
                return Failure("capture-declined", "the capture was declined", transient=False)
            await transaction.execute(
                WRITE, key, key.partition(":")[0], "capture", transaction_id, amount.amount, amount.currency, token
            )
        return ProviderResult(transaction_id, amount)

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Void the authorization, if there is one; a captured payment has to be refunded instead."""
        if not transaction_id:
            return ProviderResult("", Money(amount=Decimal(0), currency="XXX"))
        async with self._store.transaction() as transaction:
            kinds, token, held = await self._transaction(transaction, transaction_id)
            if held is None:
                return ProviderResult("", Money(amount=Decimal(0), currency="XXX"))
            if "capture" in kinds and "refund" not in kinds:
                return Failure("already-captured", "the money was captured: refund it instead", transient=False)
            if "capture" not in kinds:
                await transaction.execute(
                    WRITE, key, key.partition(":")[0], "void", transaction_id, held.amount, held.currency, token
                )
        return ProviderResult(transaction_id, held)

    async def refund(self, key: str, transaction_id: str, amount: Money | None) -> ProviderResult | Failure:
        """Refund what was captured, once."""
        async with self._store.transaction() as transaction:
            kinds, token, held = await self._transaction(transaction, transaction_id)
            taken = kinds.get("capture")
            if held is None or taken is None:
                return ProviderResult(
                    transaction_id, Money(amount=Decimal(0), currency=held.currency if held else "XXX")
                )
            back = amount or taken
            if back.amount > taken.amount:
                return Failure("refund-too-large", "the refund is larger than what was captured", transient=False)
            await transaction.execute(
                WRITE, key, key.partition(":")[0], "refund", transaction_id, back.amount, back.currency, token
            )
        return ProviderResult(transaction_id, back)

    async def find(self, order_id: str) -> str:
        """The transaction of the order, also if the reply to its authorization was lost."""
        async with self._store.transaction() as transaction:
            rows = await transaction.fetch(OF_ORDER, order_id)
        return str(rows[0]["transaction_id"]) if rows else ""

    async def _transaction(
        self, transaction: Transaction, transaction_id: str
    ) -> tuple[dict[str, Money], str, Money | None]:
        rows = await transaction.fetch(BY_TRANSACTION, transaction_id)
        kinds = {str(r["kind"]): Money(amount=Decimal(str(r["amount"])), currency=str(r["currency"])) for r in rows}
        return kinds, str(rows[0]["token"]) if rows else "", kinds.get("authorize")

    async def _first_time(self, transaction: Transaction, key: str) -> bool:
        return bool(await transaction.fetch(FIRST_TIME, key))
