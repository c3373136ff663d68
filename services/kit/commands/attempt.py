"""Attempts at commands in an open transaction, one command alone or several together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from services.kit.commands.cause import Cause
from services.kit.commands.outcome import Concluded, Decided, Loaded
from services.kit.domain.decider import Decider
from services.kit.domain.message import Message
from services.kit.eventstore.port import Append, Appended, Conflict, Duplicate, Result, Transaction
from services.kit.eventstore.transactions import Contention
from services.kit.privacy.new_keys import NewKeys

if TYPE_CHECKING:
    from services.kit.commands.handler import CommandHandler

__all__ = ["NOTHING_READ", "Asked", "NotAppended", "Prepared", "Together", "TransactionAttempt", "append_all"]

NOTHING_READ: Mapping[str, int] = MappingProxyType({})

C = TypeVar("C")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Prepared(Generic[S]):
    """A decision and its append."""

    loaded: Loaded[S]
    decision: Sequence[Message]
    append: Append
    keys: NewKeys

    def after(self, decider: Decider[Any, S], result: Result) -> Decided[S] | Duplicate | Conflict:
        """The result of the append, with the aggregate after it."""
        if not isinstance(result, Appended):
            return result
        self.keys.remember()
        after = Loaded(decider.fold(self.decision, self.loaded.state), result.version, result.position)
        return Decided(after, self.decision, self.append.events, result)


class TransactionAttempt(Generic[C, S]):
    """One attempt at a command in an open transaction."""

    def __init__(
        self,
        handler: CommandHandler,
        decider: Decider[C, S],
        identity: str,
        cause: Cause,
        transaction: Transaction,
        known: Loaded[S] | None = None,
    ) -> None:
        self.transaction = transaction
        self._known = known
        self._handler = handler
        self._decider = decider
        self._identity = identity
        self._cause = cause
        self._prepared: Prepared[S] | None = None
        self._result: Decided[S] | None = None

    @property
    def result(self) -> Decided[S]:
        """Return what `carry_out` appended."""
        assert self._result is not None, "the work in a transaction must carry out its command"
        return self._result

    async def load(self) -> Loaded[S]:
        """The aggregate as it is known, if this is the first attempt, or else as the transaction sees it."""
        return self._known or await self._handler.load_in(self.transaction, self._decider, self._identity)

    async def carry_out(
        self,
        command: C,
        loaded: Loaded[S] | None = None,
        expected_version: int | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
    ) -> Sequence[Message]:
        """Decide and append; the decision's events. The parameters are those of `decide`."""
        decision = await self.decide(command, loaded, expected_version, reads)
        await append_all([self])
        return decision

    async def decide(
        self,
        command: C,
        loaded: Loaded[S] | None = None,
        expected_version: int | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
    ) -> Sequence[Message]:
        """Decide from `loaded`, or load first; the decision's events, for `append_all`.

        Raises if there is nothing to append: the transaction is rolled back; `transact` retries or ends the command.
        """
        loaded = loaded or await self.load()
        stream = self._decider.stream(self._identity)
        prepared = await self._handler.prepare(
            self._decider, stream, command, loaded, self._cause, expected_version, self.transaction, reads
        )
        if isinstance(prepared, Prepared):
            self._prepared = prepared
            return prepared.decision
        if loaded is self._known:  # only the newest state may refuse a command, or change nothing
            raise Contention("contention", f"{stream} may have changed")
        raise NotAppended(prepared)

    @property
    def prepared(self) -> Append:
        """Return what `decide` prepared."""
        assert self._prepared is not None, "a command is decided before it is appended"
        return self._prepared.append

    def end(self, result: Result) -> None:
        """Take the result of the append; raises if nothing is appended, as `decide` does."""
        assert self._prepared is not None
        attempted = self._prepared.after(self._decider, result)
        if isinstance(attempted, Conflict):
            raise Contention("contention", f"another command changed {self.prepared.stream} first")
        if isinstance(attempted, Duplicate):
            raise NotAppended(attempted)
        self._result = attempted


async def append_all(attempts: Sequence[TransactionAttempt[Any, Any]]) -> None:
    """Append what the attempts, which are in one transaction, have decided; raises if one of them appends nothing."""
    results = await attempts[0].transaction.append(*(attempt.prepared for attempt in attempts))
    for attempt, result in zip(attempts, results, strict=True):
        attempt.end(result)


@dataclass(frozen=True, slots=True)
class Asked(Generic[C]):
    """A command on one aggregate that can be carried out together with others."""

    identity: str
    command: C
    cause: Cause
    size: int = 1

    @property
    def claims(self) -> frozenset[tuple[str, str]]:
        """The aggregate: two commands on one are never carried out together."""
        return frozenset({("aggregate", self.identity)})


Together = Callable[[Transaction, Sequence[tuple[C, TransactionAttempt[C, S]]]], Awaitable[None]]
"""Carries out several commands in a transaction, each by its attempt."""


class NotAppended(Exception):
    """Leaves, and so rolls back, a transaction in which nothing is appended."""

    def __init__(self, attempted: Concluded[Any]) -> None:
        self.attempted = attempted
