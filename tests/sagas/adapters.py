"""Adapters in memory of the services through which an order goes: the provider, the carrier, the stock, the tables."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from services.contracts.orders import Address, CapturePolicy, PaymentMethod
from services.contracts.payments import ReportedChange
from services.inventory.domain import RESERVATION, Extend, Reservation, ReservationCommand, Reserve, movements
from services.inventory.levels import Level
from services.inventory.stock import StockRoom
from services.kit.commands.attempt import TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.domain.message import Money
from services.kit.eventstore.memory import MemoryEventStore, MemoryTransaction
from services.kit.resilience.outgoing import CallFailed
from services.kit.saga.participant import Failure
from services.payments.calls import NOTHING, ProviderResult, Verb
from services.payments.transactions import Fact, Transaction, transaction_of
from services.shipping.domain import CarrierResult

DECLINED = Failure("card-declined", "the card was declined", transient=False)


class WithoutTables(MemoryTransaction):
    """A transaction of orders, whose tables of coupons and of buyers no trace shows."""

    async def execute(self, sql: str, *arguments: object) -> None:
        """Do nothing."""


class OrdersStore(MemoryEventStore):
    """The event store of orders without its tables."""

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[MemoryTransaction]:
        async with self.database.writing:
            transaction = WithoutTables(self.database, "orders")
            yield transaction
            self.database.commit(transaction)


class Shelf(StockRoom):
    """The stock levels in memory; as in Postgres they move only with the events that are appended."""

    def __init__(self, handler: CommandHandler, **on_hand: int) -> None:
        super().__init__(handler)
        self._commands = handler
        self.levels = {product: Level(units) for product, units in on_hand.items()}

    async def reserve(self, command: ReservationCommand, cause: Cause) -> None:
        if isinstance(command, Reserve | Extend):
            command = replace(command, levels=self.levels)

        async def work(attempt: TransactionAttempt[ReservationCommand, Reservation]) -> None:
            for product, moved in movements(await attempt.carry_out(command)).items():
                had = self.levels.get(product, Level())
                self.levels[product] = Level(had.on_hand + moved.on_hand, had.reserved + moved.reserved)

        await self._commands.transact(RESERVATION, command.order_id, work, cause)

    async def expired(self, now: datetime) -> list[str]:
        return []


@dataclass
class Bank:
    """A payment provider that keeps the facts of its transactions: txn_1 is the order's, the next are surcharges.

    It declines the calls of `declines`, loses its first answer to those of `loses`, and lets the authorization expire
    before the capture if it `expires`.
    """

    declines: frozenset[Verb] = frozenset()
    loses: set[Verb] = field(default_factory=set[Verb])
    expires: bool = False
    facts: dict[str, list[Fact]] = field(default_factory=dict[str, list[Fact]])
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """The transaction that a call with this key made."""

    @property
    def by_name(self) -> Mapping[str, Transaction]:
        """The transactions."""
        return {name: transaction_of(facts) for name, facts in self.facts.items()}

    @property
    def money(self) -> Decimal:
        """What was captured and neither refunded nor charged back."""
        return sum(
            (each.left for each in self.by_name.values() if each.captured and not each.is_charged_back), Decimal(0)
        )

    async def authorize(
        self, key: str, amount: Money, method: PaymentMethod, policy: CapturePolicy | None = None
    ) -> ProviderResult | Failure:
        """Hold the amount, or charge it at once."""
        changes: tuple[ReportedChange, ...] = ("authorized", "captured") if policy == "at_once" else ("authorized",)
        return self._made("authorize", key, amount, *changes)

    async def renew(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Hold the amount by a new transaction."""
        return self._made("renew", key, amount, "authorized")

    async def surcharge(self, key: str, transaction_id: str, amount: Money, charge_id: str) -> ProviderResult | Failure:
        """Charge the amount by a new transaction."""
        return self._made("surcharge", key, amount, "captured", charge_id=charge_id)

    async def capture(self, key: str, transaction_id: str, amount: Money) -> ProviderResult | Failure:
        """Charge what is held."""
        if self.expires and transaction_id == "txn_1":
            self.happen(Fact("expired", transaction_id))
            return Failure("nothing-held", "this amount is not held", transient=False)
        self.happen(Fact("captured", transaction_id, amount))
        return self._answer("capture", transaction_id, amount)

    async def void(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Release what is held."""
        if not transaction_id:
            return ProviderResult("", NOTHING)
        known = self._known(transaction_id)
        if known.is_captured:
            return Failure("already-captured", "the money was captured: refund it instead", transient=False)
        self.happen(Fact("canceled", transaction_id))
        return self._answer("void", transaction_id, known.held or NOTHING)

    async def refund(self, key: str, transaction_id: str) -> ProviderResult | Failure:
        """Refund what is left."""
        known = self._known(transaction_id)
        if known.captured is None or known.left == 0:
            return self._answer("refund", transaction_id, NOTHING)
        back = Money(amount=known.left, currency=known.captured.currency)
        return self._refund("refund", transaction_id, back, key)

    async def refund_part(
        self, key: str, transaction_id: str, amount: Money, refund_id: str
    ) -> ProviderResult | Failure:
        """Refund the amount, once for each key."""
        if key not in self._known(transaction_id).refunds and amount.amount > self._known(transaction_id).left:
            return Failure("refund-too-large", "the refund is larger than what is left", transient=False)
        return self._refund("refund_part", transaction_id, amount, key, refund_id)

    async def find(self, order_id: str, charge_id: str = "") -> str:
        """The newest transaction of the order, or that of its surcharge."""
        found = [name for name, facts in self.facts.items() if facts[0].charge_id == charge_id]
        return found[-1] if found else ""

    async def look(self, transaction_id: str) -> tuple[Fact, ...]:
        """All facts of a transaction."""
        return tuple(self.facts[transaction_id])

    def happen(self, fact: Fact) -> None:
        """Add a fact, once."""
        facts = self.facts.setdefault(fact.transaction_id, [])
        if fact not in facts:
            facts.append(fact)

    def _known(self, transaction_id: str) -> Transaction:
        return transaction_of(self.facts[transaction_id])

    def _made(
        self, verb: Verb, key: str, amount: Money, *changes: ReportedChange, charge_id: str = ""
    ) -> ProviderResult | Failure:
        if verb in self.declines:
            return DECLINED
        name = self.keys.setdefault(key, f"txn_{len(self.keys) + 1}")
        for change in changes:
            self.happen(Fact(change, name, amount, charge_id=charge_id))
        return self._answer(verb, name, amount)

    def _refund(self, verb: Verb, name: str, amount: Money, key: str, refund_id: str = "") -> ProviderResult:
        self.happen(Fact("refund_succeeded", name, amount, key, refund_id))
        return self._answer(verb, name, amount, key)

    def _answer(self, verb: Verb, transaction_id: str, amount: Money, refund_id: str = "") -> ProviderResult:
        if verb in self.loses:
            self.loses.discard(verb)
            raise CallFailed("provider-timeout", "the provider did not answer in time", transient=True)
        return ProviderResult(transaction_id, amount, tuple(self.facts[transaction_id]), refund_id)


class Lorry:
    """A carrier that accepts everything."""

    async def prepare(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Serve every address."""
        return CarrierResult()

    async def create(self, order_id: str, key: str, address: Address) -> CarrierResult | Failure:
        """Accept the transport."""
        return CarrierResult("shp_1", "carrier", "ZC1")

    async def cancel(self, order_id: str, key: str) -> CarrierResult | Failure:
        """Cancel the transport."""
        return CarrierResult("shp_1")
