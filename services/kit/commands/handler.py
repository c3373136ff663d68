"""Handling a command: load, fold, decide, append with the inbox mark in one transaction, publish.

A version conflict means that somebody else decided first: reload and decide again. A warm process keeps recently used
aggregates; the version check keeps that safe.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

from services.kit.domain.decider import Decider, Rejected
from services.kit.domain.errors import (
    FieldError,
    Invalid,
    NotFound,
    RuleViolation,
    Unavailable,
    VersionMismatch,
    ZerocartError,
)
from services.kit.domain.message import Message
from services.kit.domain.principal import Principal
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import (
    START,
    Append,
    Appended,
    Duplicate,
    EventStore,
    Mark,
    NewEvent,
    Position,
    RecordedEvent,
    Transaction,
)
from services.kit.privacy.encryption import decrypt, encrypt
from services.kit.privacy.vault import Vault
from services.kit.telemetry.tracing import current
from services.kit.wire.cloudevents import Incoming, is_clean, source_of

__all__ = [
    "CACHE_AGGREGATES_MAX",
    "CONFLICT_RETRIES_MAX",
    "Cause",
    "CommandHandler",
    "Loaded",
    "Outcome",
    "error_of",
    "record",
    "stamped",
]

CACHE_AGGREGATES_MAX = 4_096
CONFLICT_RETRIES_MAX = 20

C = TypeVar("C")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Cause:
    """Why something is done: the message that led to it, if any, its mark, which makes it happen once, and for whom."""

    at: datetime
    message_id: str = ""
    correlation_id: str = ""
    mark: Mark | None = None
    principal: Principal | None = None

    @classmethod
    def of(cls, event: Incoming, at: datetime) -> Cause:
        """What follows from `event` is done at `at`, once."""
        return cls(
            at=at,
            message_id=f"{event.source}/{event.id}",
            correlation_id=event.attributes.get("correlationid", ""),
            mark=Mark(event.key),
            principal=Principal.of(event.attributes),
        )


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """An aggregate as it was last seen; `position` is that of its last event."""

    state: S
    version: int
    position: Position


@dataclass(frozen=True, slots=True)
class Outcome(Generic[S]):
    """What came of a command: the state now, and the repeat's original if it had been handled before."""

    state: S
    version: int
    position: Position
    events: Sequence[Message]
    repeated: Duplicate | None = None


class CommandHandler:
    """Decides and records for the aggregates of one service."""

    def __init__(self, service: str, store: EventStore, relay: Relay, vault: Vault) -> None:
        self.service = service
        self.store = store
        self.relay = relay
        self.vault = vault
        self._cache: OrderedDict[str, Loaded[object]] = OrderedDict()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load(self, decider: Decider[C, S], identity: str) -> Loaded[S]:
        """The aggregate as this process knows it: possibly not its newest state, so only a hint or for deciding."""
        stream = decider.stream(identity)
        cached = self._cache.get(stream)
        if cached is not None:
            self._cache.move_to_end(stream)
            return cached  # pyright: ignore[reportReturnType]
        return await self.reload(decider, identity)

    async def reload(self, decider: Decider[C, S], identity: str) -> Loaded[S]:
        """The aggregate as the database knows it now."""
        stream = decider.stream(identity)
        loaded = await self.folded(decider, await self.store.read(stream))
        self._remember(stream, loaded)
        return loaded

    async def folded(
        self, decider: Decider[C, S], recorded: Sequence[RecordedEvent], unit: Transaction | None = None
    ) -> Loaded[S]:
        """The aggregate whose whole history is `recorded`; `unit` is the transaction that is open, if there is one."""
        if not recorded:
            return Loaded(decider.initial, 0, START)
        history = await self._opened(decider, recorded, unit)
        return Loaded(decider.fold(history), recorded[-1].version, recorded[-1].position)

    async def history(self, decider: Decider[C, S], identity: str) -> list[tuple[RecordedEvent, Message]]:
        """Every event of an aggregate, with what it says."""
        recorded = await self.store.read(decider.stream(identity))
        return list(zip(recorded, await self._opened(decider, recorded, None), strict=True))

    async def _opened(
        self, decider: Decider[C, S], recorded: Sequence[RecordedEvent], unit: Transaction | None
    ) -> list[Message]:
        models = {event.type: event for event in decider.events}
        return await decrypt(self.vault, [(models[event.type], event.data) for event in recorded], unit)

    async def stamped(self, events: Sequence[Message], cause: Cause, unit: Transaction | None = None) -> list[NewEvent]:
        """The events as they are stored and published, within the transaction `unit` if there is one."""
        return await stamped(events, cause, source_of(self.service), self.vault, unit)

    async def handle(
        self, decider: Decider[C, S], identity: str, command: C, cause: Cause, expected_version: int | None = None
    ) -> Outcome[S]:
        """Decide and record, once per mark; published when this returns.

        Raises RuleViolation if the decider rejects, VersionMismatch if the aggregate is not at `expected_version`,
        Unavailable if it cannot be done now.
        """
        stream = decider.stream(identity)
        async with self._turns.setdefault(stream, asyncio.Lock()):  # two at once would only make a conflict of one
            decided = await self._decided(decider, identity, command, cause, expected_version)
        if isinstance(decided, Outcome):
            return decided
        events, result, outcome = decided
        await self.publish(record(self.service, stream, events, result), result, cause)
        return outcome

    async def _decided(
        self, decider: Decider[C, S], identity: str, command: C, cause: Cause, expected_version: int | None
    ) -> Outcome[S] | tuple[Sequence[NewEvent], Appended, Outcome[S]]:
        """What came of it, with the events that are to be published if there are any."""
        stream = decider.stream(identity)
        loaded = self._begun(decider, command, stream) or await self.load(decider, identity)
        if expected_version not in (None, loaded.version):
            loaded = await self.reload(decider, identity)
        fresh = False
        for _ in range(CONFLICT_RETRIES_MAX):
            if expected_version not in (None, loaded.version):
                return await self._stale(decider, identity, command, loaded, cause)
            decision = decider.decide(command, loaded.state)
            if isinstance(decision, Rejected) or not decision:
                if fresh:
                    return await self._nothing_to_do(decider, identity, loaded, decision, cause)
                # another process may have appended since: only the newest state may decide nothing
                loaded, fresh = await self.reload(decider, identity), True
                continue
            events = await self.stamped(decision, cause)
            result = await self.store.append(Append(stream, loaded.version, events, cause.mark))
            match result:
                case Appended():
                    state = decider.fold(decision, loaded.state)
                    self._remember(stream, Loaded(state, result.version, result.position))
                    return events, result, Outcome(state, result.version, result.position, decision)
                case Duplicate():
                    return await self._repeat(decider, identity, result)
                case _:
                    loaded, fresh = await self.reload(decider, identity), True
        raise Unavailable("too-many-conflicts", f"{stream} is being changed by others all the time")

    def _begun(self, decider: Decider[C, S], command: C, stream: str) -> Loaded[S] | None:
        # there is usually nothing to read; if there is, the version check says so
        if isinstance(command, decider.opens) and stream not in self._cache:
            return Loaded(decider.initial, 0, START)
        return None

    async def _stale(
        self, decider: Decider[C, S], identity: str, command: C, loaded: Loaded[S], cause: Cause
    ) -> Outcome[S]:
        if cause.mark and (repeated := await self.store.find_mark(cause.mark.key)):
            return await self._repeat(decider, identity, repeated)
        decision = decider.decide(command, loaded.state)
        if isinstance(decision, Rejected) and decision.missing:
            raise error_of(decision)  # what is not theirs has no version either
        raise VersionMismatch("version-mismatch", f"the version is {loaded.version} now")

    async def publish(self, events: Sequence[RecordedEvent], done: Appended, cause: Cause) -> None:
        """Publish what has just been appended; Unavailable only if the cause is a message, which will come again."""
        try:
            await self.relay.publish(events, backlog=done.backlog)
        except Unavailable:
            if cause.message_id:
                raise  # the broker will deliver again, which finds the mark and publishes
            # the caller's wish is durable, so it is accepted: the outbox is published when Kafka is back
            self.relay.retry_later()

    async def _nothing_to_do(
        self,
        decider: Decider[C, S],
        identity: str,
        loaded: Loaded[S],
        decision: Sequence[Message] | Rejected,
        cause: Cause,
    ) -> Outcome[S]:
        # a repeat is often rejected by the state that its first time left behind: look before refusing
        if cause.mark and (repeated := await self.store.find_mark(cause.mark.key)):
            return await self._repeat(decider, identity, repeated)
        if isinstance(decision, Rejected):
            raise error_of(decision)
        return Outcome(loaded.state, loaded.version, loaded.position, ())

    async def _repeat(self, decider: Decider[C, S], identity: str, repeated: Duplicate) -> Outcome[S]:
        # the first time may have died between commit and publication: say now what it left unsaid
        await self.relay.publish_pending(repeated.stream)
        loaded = await self.reload(decider, identity)
        return Outcome(loaded.state, repeated.version, repeated.position, (), repeated)

    def _remember(self, stream: str, loaded: Loaded[S]) -> None:
        self._cache[stream] = loaded  # pyright: ignore[reportArgumentType]
        self._cache.move_to_end(stream)
        if len(self._cache) > CACHE_AGGREGATES_MAX:
            self._cache.popitem(last=False)

    def forget(self, decider: Decider[C, S], identity: str) -> None:
        """Drop what this process knows of an aggregate that was changed by other means."""
        self._cache.pop(decider.stream(identity), None)


def error_of(rejected: Rejected) -> ZerocartError:
    """What a caller is told of a rejection."""
    if rejected.missing:
        return NotFound(rejected.code, rejected.detail)
    if rejected.field:
        return Invalid(rejected.code, rejected.detail, (FieldError(rejected.field, rejected.code, rejected.detail),))
    return RuleViolation(rejected.code, rejected.detail)


async def stamped(
    events: Sequence[Message], cause: Cause, source: str, vault: Vault, unit: Transaction | None = None
) -> list[NewEvent]:
    """The events as they are stored and published; Invalid if a key could not travel as a CloudEvents attribute."""
    metas = [_meta(event, cause, source) for event in events]  # what is refused makes nobody a key
    texts = await encrypt(vault, events, unit)
    return [
        NewEvent(type=event.type, time=cause.at, data=text, meta=json.dumps(meta))
        for event, text, meta in zip(events, texts, metas, strict=True)
    ]


def _meta(event: Message, cause: Cause, source: str) -> dict[str, str]:
    key = event.key_value
    if not is_clean(key):
        raise Invalid("bad-key", f"{event.key} must be printable ASCII without %: {key!r}")
    meta = {
        "subject": key,
        "partitionkey": key,
        "correlationid": cause.correlation_id or key,
        "causationid": cause.message_id or source,
        "traceparent": current(),
        **(cause.principal.attributes() if cause.principal else {}),
    }
    if event.expires_after is not None:
        meta["expirytime"] = (cause.at + event.expires_after).isoformat().replace("+00:00", "Z")
    return meta


def record(service: str, stream: str, events: Sequence[NewEvent], done: Appended) -> list[RecordedEvent]:
    """The appended events as they stand in the log."""
    first = done.version - len(events) + 1
    return [
        RecordedEvent(service, stream, first + i, position, event.type, event.time, event.data, event.meta)
        for i, (event, position) in enumerate(zip(events, done.positions, strict=True))
    ]
