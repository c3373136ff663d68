"""Search every interleaving of a scenario, breadth first, so that the first fault that it meets has a shortest way."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tests.model.moves import LogMoves, ReaderMoves, named
from tests.model.protocol import Event, Log, Reader, Scenario

PAGE_EVENTS = (1, 2)
"""The size of the pages of the first and of the second reader."""

T = TypeVar("T", bound=Hashable)
State = tuple[int, ...]
"""The number of a log, then the number of each reader: the sessions share the log, so few parts make many states."""


@dataclass(frozen=True)
class Found:
    """The number of states, and the fault with the steps that lead to it, if there is one."""

    states: int
    fault: str = ""
    steps: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n  ".join([self.fault or f"no fault in {self.states} states", *self.steps])


class Numbered(Generic[T]):
    """Values with a number each."""

    def __init__(self) -> None:
        self.values: list[T] = []
        self._numbers: dict[T, int] = {}

    def number(self, value: T) -> int:
        """The number of the value, which is a new one if the value is new."""
        number = self._numbers.setdefault(value, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number


class Search:
    """The search through one scenario."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._log_moves = LogMoves(scenario)
        self._reader_moves = [ReaderMoves(scenario, size) for size in PAGE_EVENTS[: scenario.readers]]
        self._logs, self._readers = Numbered[Log](), Numbered[Reader]()
        self._after_log: dict[int, list[tuple[str, int]]] = {}
        self._after_reader: dict[tuple[int, int, int], list[tuple[str, int]]] = {}
        self._faults: dict[tuple[int, int, int], str] = {}

    def run(self) -> Found:
        """Visit every state that can be reached; stop at the first fault."""
        start: State = (
            self._logs.number(self._scenario.start()),
            *[self._readers.number(Reader())] * self._scenario.readers,
        )
        came_from: dict[State, State] = {start: start}
        states: list[State] = [start]
        for state in states:  # which grows meanwhile
            if fault := self._fault(state):
                return Found(len(came_from), fault, self._way(came_from, state))
            for _, after in self._moves(state):
                if after not in came_from:
                    came_from[after] = state
                    states.append(after)
        return Found(len(came_from))

    def _way(self, came_from: dict[State, State], state: State) -> tuple[str, ...]:
        way: list[str] = []
        while (before := came_from[state]) != state:
            way.append(next(label for label, after in self._moves(before) if after == state))
            state = before
        return tuple(reversed(way))

    def _moves(self, state: State) -> list[tuple[str, State]]:
        log, *readers = state
        moves: list[tuple[str, State]] = [(label, (after, *readers)) for label, after in self._moves_of_log(log)]
        for place, reader in enumerate(readers, 1):
            for label, after in self._moves_of_reader(place, log, reader):
                moves.append((label, (*state[:place], after, *state[place + 1 :])))
        return moves

    def _moves_of_log(self, number: int) -> list[tuple[str, int]]:
        def moves() -> list[tuple[str, int]]:
            log = self._logs.values[number]
            found = [*self._log_moves.steps(log), *self._log_moves.failures(log)]
            return [(label, self._logs.number(after)) for label, after in found]

        return _kept(self._after_log, number, moves)

    def _moves_of_reader(self, place: int, log: int, reader: int) -> list[tuple[str, int]]:
        def moves() -> list[tuple[str, int]]:
            found = self._reader_moves[place - 1].steps(self._logs.values[log], self._readers.values[reader])
            return [(f"reader {place} {label}", self._readers.number(after)) for label, after in found]

        return _kept(self._after_reader, (place, log, reader), moves)

    def _fault(self, state: State) -> str:
        log, *readers = state
        for place, reader in enumerate(readers, 1):
            key = (place, log, reader)
            fault = _kept(self._faults, key, lambda key=key: self._fault_of_reader(*key))
            if fault:
                return fault
        return ""

    def _fault_of_reader(self, place: int, log_number: int, reader_number: int) -> str:
        log, reader = self._logs.values[log_number], self._readers.values[reader_number]
        passed = [event for event in log.visible if event.position <= reader.checkpoint and event not in reader.seen]
        if passed and not self._scenario.protocol.must_start_anew(reader, log):
            return f"reader {place} skips {named(passed)}: its checkpoint is {reader.checkpoint}"
        if disordered(log):
            return f"{named(disordered(log))} comes before an earlier event of its stream"
        if list(reader.seen) != sorted(set(reader.seen)):
            return f"reader {place} reads {named(reader.seen)}"
        if reader.step == 0 and not any(True for _ in self._log_moves.steps(log)):
            seen = self._read_to_the_end(place, log, reader).seen
            if list(seen) != sorted(log.visible):
                return f"reader {place} comes to its end with {named(seen)}; the log has {named(sorted(log.visible))}"
        return ""

    def _read_to_the_end(self, place: int, log: Log, reader: Reader) -> Reader:
        """The reader after as many rounds as there are events, one more to start anew, and one more to see the end."""
        for _ in range(len(self._scenario.protocol.read) * (len(log.visible) + 2)):
            reader = next(after for _, after in self._reader_moves[place - 1].steps(log, reader))
        return reader


def disordered(log: Log) -> list[Event]:
    """The events that were committed after a later one of their stream."""
    return [
        event
        for place, event in enumerate(log.visible)
        if any(event.stream == before.stream and event < before for before in log.visible[:place])
    ]


K = TypeVar("K")
V = TypeVar("V")


def _kept(results: dict[K, V], key: K, work: Callable[[], V]) -> V:
    if key not in results:
        results[key] = work()
    return results[key]
