"""What can happen next in the model: to the log, by its writers and by failures, and to one reader."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.model.protocol import EPOCH, Event, Log, Reader, Scenario, Writer, steps_of

WRITERS = "ABC"
STRANGER = 0
"""The horizon of a reader that waits for a stranger's transaction, which is older than every event."""


SAYS = {
    "row": "locks the row of stream",
    "last": "reads last_value",
    "lock": "takes the lock",
    "draw": "draws",
    "save": "sets a savepoint",
    "undo": "rolls back to the savepoint",
    "prepare": "is prepared",
    "show": "commits: its events are visible",
    "free": "ends its locks",
    "abort": "rolls back",
}


def named(events: Sequence[Event]) -> str:
    """The positions of events, with their transactions."""
    return ", ".join(f"{event.position} ({event.transaction})" for event in events) or "nothing"


class LogMoves:
    """The moves of the writers of a scenario, and of the failures that it allows."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._protocol = scenario.protocol
        self._programs = [[steps_of(self._protocol, each) for each in writer] for writer in scenario.writers]

    def steps(self, log: Log) -> Iterator[tuple[str, Log]]:
        """The next step of each writer that is not at its end and waits for no row."""
        for number, writer in enumerate(log.writers):
            if writer.transaction < len(self._programs[number]):
                kind, stream = self._programs[number][writer.transaction][writer.step]
                if kind != "row" or self._is_free(log, writer, stream):
                    yield self._step(log, number, kind, stream)

    def failures(self, log: Log) -> Iterator[tuple[str, Log]]:
        """The end of a writer's session, a crash of the server, a failover."""
        for number, writer in enumerate(log.writers):
            if writer != _ended(writer):
                yield f"{WRITERS[number]} loses its session", _with(log, number, _ended(writer))
        if log.crashes_left:
            yield from self._crashes(log)
        if log.failovers_left:
            yield from self._failovers(log)

    def _is_free(self, log: Log, writer: Writer, stream: str) -> bool:
        held = {row for other in log.writers if other is not writer for row in other.rows}
        return stream not in held and stream != self._scenario.row_of_stranger

    def _step(self, log: Log, number: int, kind: str, stream: str) -> tuple[str, Log]:
        writer, said = log.writers[number], stream
        match kind:
            case "row":
                writer = writer._replace(rows=(*writer.rows, stream))
            case "last":
                writer, said = writer._replace(base=log.last), str(log.last)
            case "lock":
                key = self._protocol.key(writer.base)
                if not (self._protocol.one_lock_per_transaction and writer.has_locked):
                    writer, said = writer._replace(locks=(*writer.locks, key), has_locked=True), str(key)
                writer = writer._replace(base=0)
            case "draw":
                log, writer = self._drawn(log, writer, stream, f"{WRITERS[number]}{writer.transaction + 1}")
                said = str(writer.drawn[-1].position)
            case "save":
                writer = writer._replace(saved=(writer.locks, writer.rows, writer.drawn))
            case "undo":
                locks, rows, drawn = writer.saved
                writer = writer._replace(locks=locks, rows=rows, drawn=drawn, saved=Writer().saved)
            case "prepare":
                writer = writer._replace(prepared=True)
            case "show":
                log, writer = log._replace(visible=log.visible + writer.drawn), writer._replace(drawn=())
            case _:  # `free` and `abort` end the locks
                writer = writer._replace(locks=(), rows=())
        at_end = writer.step + 1 == len(self._programs[number][writer.transaction])
        writer = _next(writer) if at_end else writer._replace(step=writer.step + 1)
        return f"{WRITERS[number]} {SAYS[kind]} {said}".rstrip(), _with(log, number, writer)

    def _drawn(self, log: Log, writer: Writer, stream: str, transaction: str) -> tuple[Log, Writer]:
        numbers = writer.cached
        if not numbers:
            numbers = tuple(range(log.last + 1, log.last + 1 + self._protocol.numbers_per_draw))
            log = log._replace(last=numbers[-1])
        drawn = (*writer.drawn, Event(numbers[0], stream, transaction))
        return log, writer._replace(drawn=drawn, cached=numbers[1:])

    def _crashes(self, log: Log) -> Iterator[tuple[str, Log]]:
        """The server recovers what is durable; it may give the other numbers again, because rollbacks flush nothing."""
        writers = tuple(writer if writer.prepared else _ended(writer) for writer in log.writers)
        for last in {log.last, _last_durable(log.visible, writers, log.epoch)}:
            after = log._replace(last=last, writers=writers, crashes_left=log.crashes_left - 1)
            yield f"the server crashes and comes back with last_value {last}", after

    def _failovers(self, log: Log) -> Iterator[tuple[str, Log]]:
        """A standby takes over that has not received the last commits; prepared transactions came with it, or not."""
        survivors = {
            tuple(_ended(writer) for writer in log.writers),
            tuple(writer if writer.prepared else _ended(writer) for writer in log.writers),
        }
        for received in range(len(log.visible) + 1):
            visible = log.visible[:received]
            for writers in survivors:
                last = _last_durable(visible, writers, log.epoch)
                if self._protocol.new_epoch:
                    last = (log.epoch + 1) * EPOCH
                after = Log(last, visible, writers, log.epoch + 1, log.crashes_left, log.failovers_left - 1)
                yield f"a standby that has {named(visible)} takes over", after


class ReaderMoves:
    """The moves of one reader, which changes nothing but itself."""

    def __init__(self, scenario: Scenario, page_events: int) -> None:
        self._protocol = scenario.protocol
        self._page_events = page_events

    def steps(self, log: Log, reader: Reader) -> Iterator[tuple[str, Reader]]:
        """The next step; two after a full page, because the reader may keep its horizon for the next page."""
        kind = self._protocol.read[reader.step]
        following = reader._replace(step=(reader.step + 1) % len(self._protocol.read))
        match kind:
            case "last" if self._protocol.must_start_anew(reader, log):
                yield "starts anew", Reader(epoch=log.epoch)
            case "last":
                yield f"reads last_value {log.last}", following._replace(last=log.last, failures_left=log.failures_left)
            case _ if self._needs_session(kind) and reader.failures_left != log.failures_left:
                yield "has lost its session", _at_start(reader)
            case "locks":
                horizon = self._horizon(log, reader.last)
                yield f"reads the locks: its horizon is {horizon}", following._replace(last=0, horizon=horizon)
            case "end":
                horizon = max((e.position for e in log.visible if e.position <= reader.horizon), default=0)
                yield f"lowers its horizon to the last event: {horizon}", following._replace(horizon=horizon)
            case "snapshot":
                yield "takes its snapshot", following._replace(snapshot=log.visible)
            case _:
                yield from self._pages(log, reader)

    def _needs_session(self, kind: str) -> bool:
        return kind in ("locks", "end") or (kind == "page" and self._protocol.one_session)

    def _horizon(self, log: Log, last: int) -> int:
        bases = [self._protocol.base(key, last) for writer in log.writers for key in writer.locks]
        return self._protocol.horizon(last, [*bases, STRANGER] if self._protocol.waits_for_strangers else bases)

    def _pages(self, log: Log, reader: Reader) -> Iterator[tuple[str, Reader]]:
        visible = log.visible if reader.snapshot is None else reader.snapshot
        events = sorted(event for event in visible if reader.checkpoint < event.position <= reader.horizon)
        page = events[: self._page_events]
        checkpoint = page[-1].position if page else reader.checkpoint
        if self._protocol.checkpoint_at_horizon and page == events:
            checkpoint = max(checkpoint, reader.horizon)
        after = reader._replace(seen=(*reader.seen, *page), checkpoint=checkpoint)
        yield f"reads the page {named(page)}", _at_start(after)
        if self._protocol.remembers_horizon and len(page) == self._page_events:
            yield f"reads the page {named(page)}, and keeps its horizon", after


def _last_durable(visible: Sequence[Event], writers: Sequence[Writer], epoch: int) -> int:
    drawn = [event.position for writer in writers for event in writer.drawn]
    return max([epoch * EPOCH, *(event.position for event in visible), *drawn])


def _next(writer: Writer) -> Writer:
    return Writer(writer.transaction + 1, cached=writer.cached)


def _ended(writer: Writer) -> Writer:
    """The writer after its session ended: it connects again and goes on with its next transaction."""
    return Writer(writer.transaction + 1) if writer.step else writer._replace(cached=())


def _at_start(reader: Reader) -> Reader:
    return reader._replace(step=0, last=0, horizon=0, snapshot=None, failures_left=0)


def _with(log: Log, number: int, writer: Writer) -> Log:
    return log._replace(writers=(*log.writers[:number], writer, *log.writers[number + 1 :]))
