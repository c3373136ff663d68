"""The command path: load an aggregate, decide, append the events with the inbox mark, publish them, answer repeats.

A version conflict means that another command appended first: the handler loads and decides again. `handle` decides from
recently used aggregates in memory and appends through group commit; a command that depends on rows of the service's own
tables is completed before. `transact` is for a command that also writes them: both happen in one transaction.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from services.kit.commands.attempt import NOTHING_READ, Asked, NotAppended, Prepared, Together, TransactionAttempt
from services.kit.commands.cause import Cause
from services.kit.commands.outcome import (
    Complete,
    Completed,
    Concluded,
    Decided,
    Loaded,
    Outcome,
    Unchanged,
    error_of,
    version_mismatch,
)
from services.kit.commands.stamping import record, stamped
from services.kit.domain.decider import Decider, Rejected
from services.kit.domain.errors import IdempotencyKeyReused, Unavailable
from services.kit.domain.message import Message
from services.kit.domain.recent import Recent
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import (
    Append,
    Appended,
    Duplicate,
    EventStore,
    RecordedEvent,
    Transaction,
)
from services.kit.eventstore.transactions import Contention, in_transaction
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.new_keys import NewKeys
from services.kit.privacy.vault import Vault
from services.kit.telemetry.logging import log
from services.kit.wire.cloudevents import source_of

__all__ = ["CACHE_AGGREGATES_MAX", "CONFLICT_RETRIES_MAX", "CommandHandler"]

CACHE_AGGREGATES_MAX = 4_096
CONFLICT_RETRIES_MAX = 20

C = TypeVar("C")
S = TypeVar("S")


class CommandHandler:
    """Carries out the commands of one service."""

    def __init__(self, service: str, store: EventStore, relay: Relay, vault: Vault) -> None:
        self.service = service
        self.store = store
        self.relay = relay
        self.vault = vault
        self._cache = Recent[str, Loaded[Any]](CACHE_AGGREGATES_MAX)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load(self, decider: Decider[C, S], identity: str) -> Loaded[S]:
        """The aggregate from memory, or from the database if it is not there; it may be outdated."""
        stream = decider.stream(identity)
        cached = self._cache.get(stream)
        if cached is not None:
            self._cache.move_to_end(stream)
            return cached
        return await self.reload(decider, identity)

    async def reload(self, decider: Decider[C, S], identity: str) -> Loaded[S]:
        """The aggregate from the database."""
        stream = decider.stream(identity)
        loaded = await self.folded(decider, await self.store.read(stream))
        self._cache[stream] = loaded
        return loaded

    async def load_in(self, transaction: Transaction, decider: Decider[C, S], identity: str) -> Loaded[S]:
        """The aggregate as an open transaction sees it."""
        return await self.folded(decider, await transaction.read(decider.stream(identity)), transaction)

    async def folded(
        self,
        decider: Decider[C, S],
        recorded: Sequence[RecordedEvent],
        transaction: Transaction | None = None,
        known: Loaded[S] | None = None,
    ) -> Loaded[S]:
        """The aggregate after `recorded`: its whole history, or what follows `known`."""
        known = known or Loaded(decider.initial, 0)
        if not recorded:
            return known
        history = await self._decrypted(decider, recorded, transaction)
        return Loaded(decider.fold(history, known.state), recorded[-1].version, recorded[-1].position)

    async def with_state(self, decider: Decider[C, S], outcome: Outcome[S | None]) -> Outcome[S]:
        """The outcome with the state after it; after a repeat, with the state that the first attempt left."""
        first, state = outcome.repeated, outcome.state
        if first is not None:
            history = await self.store.read(first.stream)
            state = (await self.folded(decider, history[: first.version])).state
        assert state is not None
        return Outcome(state, outcome.version, outcome.position, outcome.events, first)

    async def history(self, decider: Decider[C, S], identity: str) -> list[tuple[RecordedEvent, Message]]:
        """Every event of an aggregate, each with its message."""
        recorded = await self.store.read(decider.stream(identity))
        return list(zip(recorded, await self._decrypted(decider, recorded, None), strict=True))

    async def handle(
        self,
        decider: Decider[C, S],
        identity: str,
        command: C,
        cause: Cause,
        expected_version: int | None = None,
        complete: Complete[C] | None = None,
    ) -> Outcome[S | None]:
        """Carry out a command once per mark; its events are published when this returns.

        `complete` adds values from the service's own tables to the command. The events are appended only if the rows
        that it read are still the same; else, and before a refusal, it reads them anew, and the handler decides again.

        Raises the error of a rejection, VersionMismatch if the aggregate is not at `expected_version`,
        IdempotencyKeyReused if the mark belongs to another request, Unavailable if a dependency is away.
        """
        stream = decider.stream(identity)
        async with self._turn(stream):
            attempted = await self._attempts(decider, identity, command, cause, expected_version, complete)
        return await self.conclude(stream, attempted, cause)

    async def transact(
        self,
        decider: Decider[C, S],
        identity: str,
        work: Callable[[TransactionAttempt[C, S]], Awaitable[None]],
        cause: Cause,
        remembered_for: C | None = None,
    ) -> Outcome[S | None]:
        """Like `handle`, for a command that reads or writes the service's own tables in the transaction of its events.

        `work` takes its locks, calls `carry_out` once, and writes the rows that follow from the events. After a
        conflict it runs again in a new transaction, so it must have no effect outside of the transaction. With
        `remembered_for`, the command that `work` carries out, the first attempt starts from what the process
        remembers; `work` runs again if that is outdated, or refuses the command.
        """
        attempted = await self._transacted(decider, identity, work, cause, remembered_for)
        return await self.conclude(decider.stream(identity), attempted, cause)

    async def transact_together(
        self, decider: Decider[C, S], asked: Sequence[Asked[C]], work: Together[C, S]
    ) -> list[Concluded[S] | Exception]:
        """Carry out commands on different aggregates in one transaction; each in its own if they cannot be together.

        `work` takes the locks of all, calls `decide` of each attempt and then `append_all`, and writes the rows that
        follow from the events. Nothing is published: call `conclude` with each result that is not an exception.
        """
        if len(asked) > 1:
            try:
                return await self._transacted_together(decider, asked, work)
            except (Contention, NotAppended):
                pass  # alone, each finds out whether it repeats, conflicts, or starts from an outdated state
            except Unavailable:
                raise
            except Exception as error:
                log("commands are carried out one by one: one of them failed", level=logging.WARNING, error=error)
        return [await self._alone(decider, one, work) for one in asked]

    async def conclude(self, stream: str, attempted: Concluded[S], cause: Cause) -> Outcome[S | None]:
        """Publish the events of a result; raise the error of a refusal."""
        if isinstance(attempted, Decided):
            events = record(self.service, stream, attempted.events, attempted.appended)
            await self.publish(events, attempted.appended, cause)
            loaded = attempted.loaded
            return Outcome(loaded.state, loaded.version, loaded.position, attempted.decision)
        if isinstance(attempted, Duplicate):
            return await self._repeat(attempted, cause)
        if repeated := await self.repeated(cause):
            return repeated  # after a command took effect, the new state often refuses the same command
        if attempted.error:
            raise attempted.error
        return Outcome(attempted.loaded.state, attempted.loaded.version, attempted.loaded.position, ())

    async def prepare(
        self,
        decider: Decider[C, S],
        stream: str,
        command: C,
        loaded: Loaded[S],
        cause: Cause,
        expected_version: int | None = None,
        transaction: Transaction | None = None,
        reads: Mapping[str, int] = NOTHING_READ,
        makes_keys_of: tuple[str, ...] = (),
    ) -> Prepared[S] | Unchanged[S]:
        """Decide once; the append of the events, or that there are none.

        `reads` are the rows of which the command tells, with their versions (Append.reads). Of persons whose ids begin
        with one of `makes_keys_of` the append makes the keys; it conflicts if such a person has one.
        """
        decision = decider.decide(command, loaded.state)
        if expected_version not in (None, loaded.version):
            return Unchanged(loaded, version_mismatch(loaded.version, decision))
        if isinstance(decision, Rejected):
            return Unchanged(loaded, error_of(decision))
        if not decision:
            return Unchanged(loaded)
        keys = NewKeys(self.vault, makes_keys_of)
        events = await stamped(decision, cause, source_of(self.service), keys, transaction)
        append = Append(stream, loaded.version, events, cause.mark_for(decision), reads, keys.wrapped)
        return Prepared(loaded, decision, append, keys)

    async def repeated(self, cause: Cause) -> Outcome[None] | None:
        """The first outcome if the cause's mark was used before; IdempotencyKeyReused if by another request.

        Publishes the events of that time that are still in the outbox: its process may have died before it did.
        """
        found = await self.store.find_mark(cause.mark.key) if cause.mark else None
        return await self._repeat(found, cause) if found else None

    async def publish(self, events: Sequence[RecordedEvent], appended: Appended, cause: Cause) -> None:
        """Publish events that were just appended; Unavailable only if the cause is a message."""
        await self._publish(self.relay.publish(events, backlog=appended.backlog), cause)

    async def publish_pending(self, stream: str, cause: Cause) -> None:
        """Publish the events of a stream that a process may have left unpublished; Unavailable as for `publish`."""
        await self._publish(self.relay.publish_pending(stream), cause)

    async def _publish(self, publication: Awaitable[None], cause: Cause) -> None:
        try:
            await publication
        except Unavailable:
            if cause.message_id:
                raise  # the broker delivers the message again, and the handler then finds the mark and publishes
            # a request is accepted, because its events are stored: the relay publishes them when Kafka is back
            self.relay.retry_later()

    async def _attempts(
        self,
        decider: Decider[C, S],
        identity: str,
        command: C,
        cause: Cause,
        expected_version: int | None,
        complete: Complete[C] | None,
    ) -> Concluded[S]:
        stream = decider.stream(identity)
        loaded = self._if_new(decider, command, stream) or await self.load(decider, identity)
        fresh = False
        for _ in range(CONFLICT_RETRIES_MAX):
            whole = await complete(fresh) if complete else Completed(command, NOTHING_READ)
            makes = decider.new_persons if not (loaded.version or fresh) else ()
            prepared = await self.prepare(
                decider, stream, whole.command, loaded, cause, expected_version, reads=whole.reads, makes_keys_of=makes
            )
            if isinstance(prepared, Prepared):
                attempted = prepared.after(decider, await self.store.append(prepared.append))
            else:
                attempted = prepared
            match attempted:
                case Decided():
                    self._cache[stream] = attempted.loaded
                    return attempted
                case Duplicate():
                    return attempted
                case Unchanged() if fresh:
                    return attempted
                case _:
                    # another process may have appended: only the newest state may refuse a command or change nothing
                    loaded, fresh = await self._caught_up(decider, identity, loaded), True
        raise _too_many_conflicts(stream)

    async def _caught_up(self, decider: Decider[C, S], identity: str, known: Loaded[S]) -> Loaded[S]:
        """The aggregate from the database, of which only the events after `known` are folded."""
        stream = decider.stream(identity)
        newer = await self.store.read(stream, known.version - 1) if known.version else []
        if not newer or (newer[0].version, newer[0].position) != (known.version, known.position):
            return await self.reload(decider, identity)  # it is new here, or the event store was restored meanwhile
        self._cache[stream] = loaded = await self.folded(decider, newer[1:], known=known)
        return loaded

    def _if_new(self, decider: Decider[C, S], command: C, stream: str) -> Loaded[S] | None:
        # such a command usually begins its stream, so a read would find nothing; if the stream exists, append conflicts
        if isinstance(command, decider.opens) and stream not in self._cache:
            return Loaded(decider.initial, 0)
        return None

    def _known(self, decider: Decider[C, S], command: C, stream: str) -> Loaded[S] | None:
        """The aggregate from memory, or a new one for a command that usually begins one; it may be outdated."""
        return self._if_new(decider, command, stream) or self._cache.get(stream)

    async def _transacted(
        self,
        decider: Decider[C, S],
        identity: str,
        work: Callable[[TransactionAttempt[C, S]], Awaitable[None]],
        cause: Cause,
        remembered_for: C | None,
    ) -> Concluded[S]:
        stream = decider.stream(identity)
        attempts = iter([self._known(decider, remembered_for, stream)] if remembered_for else [])

        async def attempt(transaction: Transaction) -> Concluded[S]:
            begun = TransactionAttempt(self, decider, identity, cause, transaction, next(attempts, None))
            await work(begun)
            return begun.result

        async with self._turn(stream):
            try:
                attempted = await in_transaction(self.store, attempt, CONFLICT_RETRIES_MAX)
            except NotAppended as ended:
                attempted = ended.attempted
            except Contention as error:
                raise _too_many_conflicts(stream) from error
            self._cache.pop(stream, None)
            if remembered_for and isinstance(attempted, Decided):
                self._cache[stream] = attempted.loaded
        return attempted

    async def _transacted_together(
        self, decider: Decider[C, S], asked: Sequence[Asked[C]], work: Together[C, S]
    ) -> list[Concluded[S] | Exception]:
        async with self.store.transaction() as transaction:
            attempts = [
                TransactionAttempt(
                    self, decider, one.identity, one.cause, transaction,
                    self._known(decider, one.command, decider.stream(one.identity)),
                )
                for one in asked
            ]  # fmt: skip
            await work(transaction, [(one.command, attempt) for one, attempt in zip(asked, attempts, strict=True)])
        for one, attempt in zip(asked, attempts, strict=True):
            self._cache[decider.stream(one.identity)] = attempt.result.loaded
        return [attempt.result for attempt in attempts]

    async def _alone(self, decider: Decider[C, S], one: Asked[C], work: Together[C, S]) -> Concluded[S] | Exception:
        async def alone(attempt: TransactionAttempt[C, S]) -> None:
            await work(attempt.transaction, [(one.command, attempt)])

        try:
            return await self._transacted(decider, one.identity, alone, one.cause, one.command)
        except Exception as error:  # the result of this command
            return error

    async def _repeat(self, first: Duplicate, cause: Cause) -> Outcome[None]:
        if cause.mark and cause.mark.fingerprint != first.mark.fingerprint:
            raise IdempotencyKeyReused(
                "idempotency-key-reused", "another request used this Idempotency-Key: choose a new one"
            )
        await self.publish_pending(first.stream, cause)
        return Outcome(None, first.version, first.position, (), first)

    async def _decrypted(
        self, decider: Decider[C, S], recorded: Sequence[RecordedEvent], transaction: Transaction | None
    ) -> list[Message]:
        models = {event.type: event for event in decider.events}
        return await decrypt(self.vault, [(models[event.type], event.data) for event in recorded], transaction)

    def _turn(self, stream: str) -> asyncio.Lock:
        # without turns, one of two simultaneous commands on an aggregate would conflict and decide again
        return self._turns.setdefault(stream, asyncio.Lock())


def _too_many_conflicts(stream: str) -> Unavailable:
    return Unavailable(
        "too-many-conflicts", f"{stream} changed {CONFLICT_RETRIES_MAX} times during this command: retry it"
    )
