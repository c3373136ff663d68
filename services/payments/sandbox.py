"""A provider that behaves by the card's token, and keeps books that outlive the process.

tok_approve; tok_decline (no hold); tok_decline_capture (held, then not taken); tok_fail_once (a transient error the
first time); tok_timeout_once (done, but the first answer is lost). Any other token is declined as unknown.
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
BUSY = Failure("provider-error", "the provider could not do it now", transient=True)
LOST = Failure("provider-timeout", "the provider did not answer in time", transient=True)


class Sandbox:
    """A Provider on tables of the payments service."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def authorize(self, key: str, amount: Money, method: PaymentMethod) -> ProviderResult | Failure:
        """Hold money, if the token is one that approves."""
        if method.token == "tok_decline":  # noqa: S105 - the name of a card's behaviour, no secret
            return DECLINED
        if not method.token.startswith(("tok_approve", "tok_decline_capture", "tok_fail_once", "tok_timeout_once")):
            return UNKNOWN
        order_id = key.partition(":")[0]
        async with self._store.transaction() as unit:
            first = await self._first_time(unit, key)
            if method.token == "tok_fail_once" and first:  # noqa: S105
                return BUSY
            await unit.execute(
                WRITE, key, order_id, "authorize", f"txn_{order_id}", amount.amount, amount.currency, method.token
            )
        if method.token == "tok_timeout_once" and first:  # noqa: S105
            return LOST
        return ProviderResult(f"txn_{order_id}", amount)

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Take what is held, unless it was let go or the token says no."""
        async with self._store.transaction() as unit:
            kinds, token, held = await self._transaction(unit, transaction_id)
            if "authorize" not in kinds or "void" in kinds or held is None or amount.amount > held.amount:
                return Failure("nothing-held", "that much money is not held", transient=False)
            if token == "tok_decline_capture":  # noqa: S105
                return Failure("capture-declined", "the money could not be taken", transient=False)
            await unit.execute(
                WRITE, key, key.partition(":")[0], "capture", transaction_id, amount.amount, amount.currency, token
            )
        return ProviderResult(transaction_id, amount)

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Let go of what is held, if anything; what was taken cannot be let go."""
        if not transaction_id:
            return ProviderResult("", Money(amount=Decimal(0), currency="XXX"))
        async with self._store.transaction() as unit:
            kinds, token, held = await self._transaction(unit, transaction_id)
            if held is None:
                return ProviderResult("", Money(amount=Decimal(0), currency="XXX"))
            if "capture" in kinds and "refund" not in kinds:
                return Failure("already-captured", "the money was taken: refund it", transient=False)
            if "capture" not in kinds:
                await unit.execute(
                    WRITE, key, key.partition(":")[0], "void", transaction_id, held.amount, held.currency, token
                )
        return ProviderResult(transaction_id, held)

    async def refund(self, key: str, transaction_id: str, amount: Money | None) -> ProviderResult | Failure:
        """Give back what was taken, once."""
        async with self._store.transaction() as unit:
            kinds, token, held = await self._transaction(unit, transaction_id)
            taken = kinds.get("capture")
            if held is None or taken is None:
                return ProviderResult(
                    transaction_id, Money(amount=Decimal(0), currency=held.currency if held else "XXX")
                )
            back = amount or taken
            if back.amount > taken.amount:
                return Failure("refund-too-large", "more than was taken cannot be given back", transient=False)
            await unit.execute(
                WRITE, key, key.partition(":")[0], "refund", transaction_id, back.amount, back.currency, token
            )
        return ProviderResult(transaction_id, back)

    async def find(self, order_id: str) -> str:
        """The order's transaction, also if our side never heard of it."""
        async with self._store.transaction() as unit:
            rows = await unit.fetch(OF_ORDER, order_id)
        return str(rows[0]["transaction_id"]) if rows else ""

    async def _transaction(self, unit: Transaction, transaction_id: str) -> tuple[dict[str, Money], str, Money | None]:
        rows = await unit.fetch(BY_TRANSACTION, transaction_id)
        kinds = {str(r["kind"]): Money(amount=Decimal(str(r["amount"])), currency=str(r["currency"])) for r in rows}
        return kinds, str(rows[0]["token"]) if rows else "", kinds.get("authorize")

    async def _first_time(self, unit: Transaction, key: str) -> bool:
        return bool(await unit.fetch(FIRST_TIME, key))
