"""A saga as a table of steps: what each step requests, after which steps, how it is undone, how often it is tried."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Generic, TypeVar

from services.kit.domain.message import Message
from services.kit.saga import messages
from services.kit.saga.run import NotStarted, Run

__all__ = [
    "RETRY_DELAY",
    "RETRY_DELAY_MAX",
    "STEP_ATTEMPTS_MAX",
    "UNDO_ATTEMPTS_MAX",
    "Attempt",
    "Request",
    "Saga",
    "Step",
    "Vocabulary",
    "table_of",
]

STEP_ATTEMPTS_MAX = 4
UNDO_ATTEMPTS_MAX = 8
RETRY_DELAY = timedelta(seconds=1)
RETRY_DELAY_MAX = timedelta(minutes=2)
DOUBLINGS_MAX = 20

F = TypeVar("F", bound=messages.RunStarted)


class Attempt(messages.ReplyTo):
    """The fields that every request has: which attempt of which step it is, and when the run stops waiting for it."""

    answer_by: datetime


@dataclass(frozen=True)  # without slots: CPython 3.11 cannot make X[Y](...) of a frozen dataclass with them
class Request(Generic[F]):
    """What a step requests: a message, and the replies that may answer it.

    A field of the message has the value of the run's fact of the same name, unless `fields` says how to compute it.
    """

    message: type[messages.StepRequest]
    replies: tuple[type[messages.StepReply], ...]
    fields: Mapping[str, Callable[[F], object]] = field(default_factory=dict[str, Callable[[F], object]])

    @cached_property
    def content(self) -> frozenset[str]:
        """The fields of the message beside those of every request."""
        return frozenset(self.message.model_fields.keys() - messages.StepRequest.model_fields.keys())

    def build(self, facts: F, attempt: Attempt) -> messages.StepRequest:
        """The message of one attempt, from the facts of the run."""
        content = {
            name: self.fields[name](facts) if name in self.fields else getattr(facts, name) for name in self.content
        }
        return self.message(**attempt, **content)


@dataclass(frozen=True, kw_only=True)
class Step(Generic[F]):
    """One row of the table.

    The run requests `do` when every step in `after` is done, and `undo` when every later step is undone. A step
    without `undo` leaves nothing to undo. The run waits for a reply until `deadline`, and tries again after transient
    failures, each time after a longer delay.
    """

    name: str
    after: tuple[str, ...] = ()
    do: Request[F]
    undo: Request[F] | None
    deadline: timedelta
    attempts_max: int = STEP_ATTEMPTS_MAX
    undo_attempts_max: int = UNDO_ATTEMPTS_MAX
    retry_delay: timedelta = RETRY_DELAY
    retry_delay_max: timedelta = RETRY_DELAY_MAX

    @property
    def requests(self) -> tuple[Request[F], ...]:
        """To do the step, and to undo it."""
        return (self.do, self.undo) if self.undo else (self.do,)

    def delay(self, failures: int, jitter: float) -> timedelta:
        """How long the run waits after so many failures: twice as long each time, bounded, at random in [1/2, 1)."""
        doubled = self.retry_delay * 2 ** min(failures - 1, DOUBLINGS_MAX)
        return min(doubled, self.retry_delay_max) * (0.5 + jitter / 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary(Generic[F]):
    """The concrete types of the messages about a run; the messages of its steps are named by the steps."""

    started: type[F]
    amended: type[messages.RunAmended]
    succeeded: type[messages.StepSucceeded]
    failed: type[messages.StepFailed]
    timed_out: type[messages.StepTimedOut]
    pending: type[messages.StepPending]
    completed: type[messages.RunCompleted]
    compensating: type[messages.RunCompensating]
    compensated: type[messages.RunCompensated]
    run_failed: type[messages.RunFailed]
    stuck: type[messages.RunStuck]
    resumed: type[messages.RunResumed]
    closed: type[messages.RunClosed]
    step_timer: type[messages.StepTimer]
    timer_requested: type[messages.TimerRequested]
    timer_cancelled: type[messages.TimerCancelled]

    @property
    def events(self) -> tuple[type[Message], ...]:
        """The events of a run beside its requests."""
        return (
            self.started, self.amended, self.succeeded, self.failed, self.timed_out, self.completed,
            self.compensating, self.compensated, self.run_failed, self.stuck, self.resumed, self.pending, self.closed,
            self.timer_requested, self.timer_cancelled,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Saga(Generic[F]):
    """A table of steps. ValueError if a name is not unique, a step does not come after its predecessors, or the like.

    As each step names only earlier rows in `after`, the table has no cycle. A table in which a step is renamed or
    removed has a new `version`, and the old table stays beside it for the runs that began under it.
    """

    category: str
    vocabulary: Vocabulary[F]
    steps: tuple[Step[F], ...]
    version: int = 1
    by_name: Mapping[str, Step[F]] = field(init=False, repr=False, compare=False)
    dependents: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        earlier: set[str] = set()
        for step in self.steps:
            _check(step, earlier)
            for request in step.requests:
                _check_content(step, request, self.vocabulary.started)
            earlier.add(step.name)
        if not earlier:
            raise ValueError(f"saga {self.category} has no steps: give it at least one")
        dependents = {name: tuple(step.name for step in self.steps if name in step.after) for name in earlier}
        object.__setattr__(self, "by_name", {step.name: step for step in self.steps})
        object.__setattr__(self, "dependents", dependents)

    @property
    def requests(self) -> tuple[type[messages.StepRequest], ...]:
        """Every type of message that the steps request, once."""
        return _unique(request.message for step in self.steps for request in step.requests)

    @property
    def replies(self) -> tuple[type[messages.StepReply], ...]:
        """Every type of message that answers a request, once."""
        return _unique(reply for step in self.steps for request in step.requests for reply in request.replies)

    @property
    def events(self) -> tuple[type[Message], ...]:
        """Everything that the stream of a run may hold."""
        return (*self.vocabulary.events, *self.requests)


def table_of(tables: Sequence[Saga[F]], run: Run) -> Saga[F]:
    """The table under which a run began; the last one if the run has not begun or its table was removed."""
    version = tables[-1].version if isinstance(run, NotStarted) else run.progress.facts.table_version
    return next((table for table in tables if table.version == version), tables[-1])


T = TypeVar("T")


def _unique(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))


def _check(step: Step[F], earlier: set[str]) -> None:
    if step.name in earlier:
        raise ValueError(f"two steps are named {step.name}: the name of a step must be unique")
    if unknown := [name for name in step.after if name not in earlier]:
        raise ValueError(f"step {step.name} comes after {', '.join(unknown)}, which no earlier row names")
    if min(step.deadline, step.retry_delay, step.retry_delay_max) <= timedelta(0):
        raise ValueError(f"step {step.name} has a deadline or delay that is not positive")
    if min(step.attempts_max, step.undo_attempts_max) < 1:
        raise ValueError(f"step {step.name} must be tried at least once")


def _check_content(step: Step[F], request: Request[F], started: type[F]) -> None:
    known = request.fields.keys() | started.model_fields.keys()
    if missing := sorted(request.content - known):
        fields = ", ".join(missing)
        raise ValueError(
            f"step {step.name}: {request.message.__name__} has {fields}, which is no fact of {started.__name__}:"
            " add the fact, or say in `fields` how to compute it"
        )
    if unknown := sorted(request.fields.keys() - request.content):
        raise ValueError(f"step {step.name}: {request.message.__name__} has no field {', '.join(unknown)}")
