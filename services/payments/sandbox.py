"""A payment provider for development that behaves by the card's token, and stores its transactions in Postgres.

`tok_approve` succeeds. `tok_decline` declines the authorization, `tok_decline_capture` the capture. `tok_fail_once`
fails the first authorization with a transient error. `tok_timeout_once` authorizes and refunds, and loses the first
reply to each.
`tok_lose_replies` captures and refunds, and loses every reply to a capture and the first reply to a refund.
`tok_expire` and `tok_refuse_renewal` authorize, and the first capture finds that the authorization has expired; the
second refuses to renew it.
`tok_decline_surcharge` declines what an edit adds to the total. `tok_refund_pending` leaves a refund pending.
`tok_refuse_refunds` refuses refunds that staff request. Any other token is declined as unknown.

`cause` makes happen what happens at a real provider without a call: `services.payments.sandbox_api` offers it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from services.contracts.orders import CapturePolicy, PaymentMethod
from services.contracts.payments import ReportedChange
from services.kit.domain.currencies import rounded
from services.kit.domain.message import Money
from services.kit.eventstore.port import EventStore, Transaction
from services.kit.saga.participant import Failure
from services.payments import transactions
from services.payments.calls import NOTHING, ProviderResult
from services.payments.transactions import Fact

__all__ = ["Sandbox"]

LOCK = "SELECT key FROM sandbox_ledger WHERE transaction_id = $1 AND kind = 'authorize' FOR UPDATE"
"""Calls that refund the same transaction wait for each other, or they would refund the same money."""
KNOWN = """
    SELECT false AS caused, key, kind, amount, currency, token, refund_id FROM sandbox_ledger WHERE transaction_id = $1
    UNION ALL
    SELECT true, reference, what, amount, currency, '', '' FROM sandbox_facts WHERE transaction_id = $1
"""
OF_ORDER = "SELECT transaction_id, key FROM sandbox_ledger WHERE order_id = $1 AND kind = 'authorize' ORDER BY at DESC"
WRITE = """
    INSERT INTO sandbox_ledger (key, order_id, kind, transaction_id, amount, currency, token, refund_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING
"""
CAUSE = """
    INSERT INTO sandbox_facts (transaction_id, what, reference, amount, currency)
    VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
"""
FIRST_TIME = "INSERT INTO sandbox_faults (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key"

APPROVED = (
    "tok_approve", "tok_decline_capture", "tok_fail_once", "tok_timeout_once", "tok_lose_replies", "tok_refund_pending",
    "tok_refuse_refunds", "tok_expire", "tok_refuse_renewal", "tok_decline_surcharge",
)  # fmt: skip
DECLINED = Failure("card-declined", "the card was declined", transient=False)
UNKNOWN = Failure("unknown-card", "there is no such card", transient=False)
BUSY = Failure("provider-error", "the provider is busy: try again later", transient=True)
LOST = Failure("provider-timeout", "the provider did not answer in time", transient=True)
REFUSED = Failure("refund-refused", "the card cannot be refunded any more", transient=False)
TOO_LARGE = Failure("refund-too-large", "the refund is larger than what is left of the payment", transient=False)
CHARGED_BACK = Failure("charge-disputed", "the customer's bank took the money back", transient=False)
NOT_RENEWED = Failure("card-declined", "the card was declined", transient=False)
FAIL_ONCE = ("tok_fail_once", "tok_timeout_once")
LOSING = ("tok_lose_replies", "tok_timeout_once")
EXPIRING = ("tok_expire", "tok_refuse_renewal")
KINDS: Mapping[str, ReportedChange] = {"authorize": "authorized", "capture": "captured", "void": "canceled"}

Row = Mapping[str, Any]
Tables = Transaction | EventStore
"""Several statements, or each on its own where a call that is repeated completes what a crash cut off."""


class Sandbox:
    """A Provider whose transactions are rows in tables of the payments service."""

    def __init__(self, store: EventStore) -> None:
        self._store = store

    async def authorize(
        self, key: str, amount: Money, method: PaymentMethod, policy: CapturePolicy | None = None
    ) -> ProviderResult | Failure:
        """Hold the amount, or charge it, if the token approves."""
        capture = policy == "at_once"
        if method.token == "tok_decline" or (capture and method.token == "tok_decline_capture"):  # noqa: S105
            return DECLINED
        if not method.token.startswith(APPROVED):
            return UNKNOWN
        order_id = key.partition(":")[0]
        first = method.token in FAIL_ONCE and await self._first_time(self._store, key)
        if method.token == "tok_fail_once" and first:  # noqa: S105
            return BUSY
        await _write(self._store, key, "authorize", f"txn_{order_id}", amount, method.token)
        if capture:
            await _write(self._store, f"{key}:capture", "capture", f"txn_{order_id}", amount, method.token)
        _, _, facts = await _known(self._store, f"txn_{order_id}")
        if method.token == "tok_timeout_once" and first:  # noqa: S105
            return LOST
        return ProviderResult(f"txn_{order_id}", amount, facts)

    async def renew(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Hold the amount on the same card, unless the token refuses that."""
        name = f"{transaction_id}_renewed"
        async with self._store.transaction() as transaction:
            _, token, _ = await _known(transaction, transaction_id)
            if token in ("", "tok_refuse_renewal"):
                return NOT_RENEWED
            await _write(transaction, key, "authorize", name, amount, token)
            _, _, facts = await _known(transaction, name)
        return ProviderResult(name, amount, facts)

    async def surcharge(self, key: str, transaction_id: str, amount: Money, charge_id: str) -> ProviderResult | Failure:
        """Charge the amount to the same card, unless the token declines that."""
        name = f"txn_{key.partition(':')[0]}_{charge_id}"
        async with self._store.transaction() as transaction:
            first = await self._first_time(transaction, key)
            _, token, _ = await _known(transaction, transaction_id)
            if token in ("", "tok_decline_surcharge"):
                return DECLINED
            if token == "tok_fail_once" and first:  # noqa: S105
                return BUSY
            await _write(transaction, key, "authorize", name, amount, token)
            await _write(transaction, f"{key}:capture", "capture", name, amount, token)
            _, _, facts = await _known(transaction, name)
        return LOST if token in LOSING and first else ProviderResult(name, amount, facts)

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge the amount, unless it was voided or the token declines captures."""
        known, token, facts = await _known(self._store, transaction_id)
        if token in EXPIRING and await self._first_time(self._store, key.partition(":")[0]):
            await self._store.fetch(CAUSE, transaction_id, "expired", "", None, None)
            known, token, facts = await _known(self._store, transaction_id)
        if known.held is None or known.released or amount.amount > known.held.amount:
            return Failure("nothing-held", "this amount is not held", transient=False)
        if token == "tok_decline_capture":  # noqa: S105
            return Failure("capture-declined", "the capture was declined", transient=False)
        await _write(self._store, key, "capture", transaction_id, amount, token)
        return LOST if token == "tok_lose_replies" else ProviderResult(transaction_id, amount, facts)  # noqa: S105

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Void the authorization, if there is one; a captured payment has to be refunded instead."""
        async with self._store.transaction() as transaction:
            known, token, _ = await _known(transaction, transaction_id)
            if known.held is None:
                return ProviderResult("", NOTHING)
            if known.is_captured:
                return Failure("already-captured", "the money was captured: refund it instead", transient=False)
            await _write(transaction, key, "void", transaction_id, known.held, token)
        return ProviderResult(transaction_id, known.held, (Fact("canceled", transaction_id),))

    async def refund(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Refund what was captured and is not refunded, once."""
        async with self._store.transaction() as transaction:
            await transaction.fetch(LOCK, transaction_id)
            known, token, facts = await _known(transaction, transaction_id)
            if known.captured is None or known.left == 0:
                return ProviderResult(transaction_id, NOTHING, facts)
            if known.is_charged_back:
                return CHARGED_BACK
            back, name = Money(amount=known.left, currency=known.captured.currency), f"{key}:{len(known.refunds)}"
            await _write(transaction, name, "refund", transaction_id, back, token)
            return await self._refunded(transaction, key, name, transaction_id, back)

    async def refund_part(
        self, key: str, transaction_id: str, amount: Money, refund_id: str
    ) -> ProviderResult | Failure:
        """Refund the amount once for each `refund_id`, if so much is left."""
        async with self._store.transaction() as transaction:
            await transaction.fetch(LOCK, transaction_id)
            known, token, _ = await _known(transaction, transaction_id)
            if key not in known.refunds:
                if known.is_charged_back:
                    return CHARGED_BACK
                if token == "tok_refuse_refunds":  # noqa: S105
                    return REFUSED
                if amount.amount > known.left:
                    return TOO_LARGE
                await _write(transaction, key, "refund", transaction_id, amount, token, refund_id)
            return await self._refunded(transaction, key, key, transaction_id, amount)

    async def _refunded(
        self, transaction: Transaction, key: str, name: str, transaction_id: str, back: Money
    ) -> ProviderResult | Failure:
        _, token, facts = await _known(transaction, transaction_id)
        first = await self._first_time(transaction, key)
        if token in LOSING and first:
            return LOST
        return ProviderResult(transaction_id, back, facts, refund_id=name)

    async def find(self, order_id: str, charge_id: str = "") -> str:
        """The transaction of the order or of its surcharge, also if the reply to its authorization was lost."""
        rows = await self._store.fetch(OF_ORDER, order_id)
        return next((str(row["transaction_id"]) for row in rows if _charge_of(str(row["key"])) == charge_id), "")

    async def transactions(self, order_id: str) -> frozenset[str]:
        """All transactions of the order."""
        rows = await self._store.fetch(OF_ORDER, order_id)
        return frozenset(str(row["transaction_id"]) for row in rows)

    async def look(self, transaction_id: str) -> tuple[Fact, ...]:
        """All that happened to a transaction."""
        return (await _known(self._store, transaction_id))[2]

    async def cause(self, fact: Fact) -> None:
        """Let something happen to a transaction without a call of payments."""
        amount = fact.amount
        money = (amount and amount.amount, amount and amount.currency)
        await self._store.fetch(CAUSE, fact.transaction_id, fact.what, fact.reference, *money)

    async def _first_time(self, tables: Tables, key: str) -> bool:
        return bool(await tables.fetch(FIRST_TIME, key))


async def _known(tables: Tables, transaction_id: str) -> tuple[transactions.Transaction, str, tuple[Fact, ...]]:
    """A transaction with the token of its card, and the facts of which it consists."""
    rows = await tables.fetch(KNOWN, transaction_id)
    ledger, caused = [row for row in rows if not row["caused"]], [row for row in rows if row["caused"]]
    facts = (*_ledger_facts(transaction_id, ledger), *(_fact(transaction_id, row) for row in caused))
    token = str(ledger[0]["token"]) if ledger else ""
    return transactions.transaction_of(facts), token, facts


def _ledger_facts(transaction_id: str, ledger: Sequence[Row]) -> Iterator[Fact]:
    for row in ledger:
        amount = _money(row["amount"], row["currency"])
        if row["kind"] == "refund":
            pending = row["token"] == "tok_refund_pending"  # noqa: S105
            what: ReportedChange = "refund_pending" if pending else "refund_succeeded"
            yield Fact(what, transaction_id, amount, str(row["key"]), str(row["refund_id"]))
        else:
            yield Fact(KINDS[row["kind"]], transaction_id, amount, charge_id=_charge_of(row["key"]))


def _charge_of(key: str) -> str:
    """The edit for whose surcharge a call with this key was made; empty if it was made for none."""
    return key.partition(":surcharge:")[2].partition(":")[0]


def _fact(transaction_id: str, row: Row) -> Fact:
    amount = None if row["amount"] is None else _money(row["amount"], row["currency"])
    return Fact(row["kind"], transaction_id, amount, str(row["key"]))


def _money(amount: Decimal, currency: str) -> Money:
    """The amount with the decimals of its currency: the column has more."""
    return Money(amount=rounded(amount, currency), currency=currency)


async def _write(
    tables: Tables, key: str, kind: str, transaction_id: str, amount: Money, token: str, refund_id: str = ""
) -> None:
    order_id = key.partition(":")[0]
    row = (key, order_id, kind, transaction_id, amount.amount, amount.currency, token, refund_id)
    await tables.fetch(WRITE, *row)
