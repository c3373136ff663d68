"""Every run ends with all steps done or undone, whatever participants, timers and crashes do."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

from hypothesis import event, given, settings
from hypothesis import strategies as st

from services.contracts.fulfillment import RunAmended, RunStarted
from services.contracts.payments import PaymentCapture
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA
from services.kit.domain.message import Message
from services.kit.saga.commands import Amend, HandleReply, HandleTimer, SagaCommand
from services.kit.saga.messages import StepReply, StepRequest, StepSucceeded, StepTimer
from services.kit.saga.run import Compensated, Completed, Failed, Run, Stuck
from services.kit.testing import EPOCH, Handling, Participants, SagaSimulator, assert_idempotent
from tests.examples import examples
from tests.sagas.facts import CANCEL, FACTS, ORDER_ID, RESUME, RETRY_OVERDUE, START, STEPS, UNDOABLE

EXAMPLES = settings(max_examples=examples(200), deadline=None)
TIMERS_BESIDE_RETRIES_MAX = 1

delays = st.sampled_from([0.0, 0.01, 0.02, 1.0, 70.0, 130.0, 900.0]).map(lambda n: timedelta(seconds=n))
troubles = st.builds(
    Handling,
    how=st.sampled_from(["do", "do", "do", "refuse", "fail", "doubt", "ignore"]),
    delay=delays,
    replies=st.lists(delays, max_size=3).map(tuple),
)
handlings = st.one_of(st.just(Handling()), st.just(Handling()), st.just(Handling()), troubles)
AMEND = Amend(at=EPOCH, jitter=0.0, amendment=RunAmended(saga_id=ORDER_ID, facts_version=2, email="new@example.org"))
interruptions = st.lists(st.tuples(delays, st.sampled_from([CANCEL, AMEND, RETRY_OVERDUE, RESUME, START])), max_size=4)


class Watched(SagaSimulator[RunStarted]):
    """A simulator that crashes after every decision, and checks what must hold after each."""

    def _decide(self, command: SagaCommand) -> None:
        before = self.run
        super()._decide(command)
        after = self.run
        self.reload()
        assert self.run == after, "the stored events hold the whole state of a run"
        self._watch(before)

    def _watch(self, before: Run) -> None:
        open_timers = {e.timer_id: e for e in self.history if isinstance(e, TimerRequested)}
        for emitted in self.history:
            if isinstance(emitted, TimerCancelled):
                open_timers.pop(emitted.timer_id)
        deadlines = [e for e in open_timers.values() if e.message["kind"] == "deadline" and e.due_at > self.now]
        assert len(deadlines) <= TIMERS_BESIDE_RETRIES_MAX
        if isinstance(self.run, Completed | Compensated | Failed) and type(self.run) is not type(before):
            assert all(timer.due_at <= self.now for timer in open_timers.values()), "a run that ended leaves no timer"


@EXAMPLES
@given(data=st.data(), sent=interruptions, quiet=st.booleans(), covered_seconds=st.sampled_from([None, 20, 100]))
def test_every_run_ends_with_all_steps_done_or_undone(
    data: st.DataObject, sent: list[tuple[timedelta, SagaCommand]], quiet: bool, covered_seconds: int | None
) -> None:
    script: dict[str, Handling] = {}

    def handling(name: str) -> Handling:
        if name not in script:
            script[name] = data.draw(handlings, label=name)
        return script[name]

    participants = Participants(handling)
    covered_every = timedelta(seconds=covered_seconds) if covered_seconds else None
    simulator = Watched(ORDER_SAGA, participants, jitter=lambda: 0.0 if quiet else 0.99, covered_every=covered_every)
    for delay, command in [(timedelta(0), START), *sent]:
        simulator.send(command, delay)
    simulator.run_to_end()
    event(type(simulator.run).__name__)
    check_end(simulator)


def check_end(simulator: SagaSimulator[RunStarted]) -> None:
    run, participants = simulator.run, simulator.participants
    assert isinstance(run, Completed | Compensated | Failed | Stuck)
    undos = [emitted for emitted in simulator.history if isinstance(emitted, StepRequest) and emitted.undo]
    if isinstance(run, Completed):
        assert participants.done == set(STEPS)
        assert not undos
    elif isinstance(run, Stuck):
        assert run.steps  # the operator sees where to look
        kept = participants.done & UNDOABLE
        assert all(run.steps & followers(name) for name in kept), (
            "a step stays done only if it or a later step is stuck"
        )
    else:
        assert participants.done.isdisjoint(UNDOABLE)
    assert_captured_last(simulator)


def followers(name: str) -> set[str]:
    """A step and every step that depends on it."""
    return {name}.union(*(followers(later) for later in ORDER_SAGA.dependents[name]))


def assert_captured_last(simulator: SagaSimulator[RunStarted]) -> None:
    done: set[str] = set()
    for emitted in simulator.history:
        if isinstance(emitted, StepSucceeded) and not emitted.undo:
            done.add(emitted.step)
        if isinstance(emitted, PaymentCapture):
            assert set(STEPS[:3]) <= done


steps = st.sampled_from([*STEPS, "unheard_of"])
attempts = st.integers(1, 9)
replies = st.builds(
    lambda at, reply: HandleReply(at=EPOCH + at, jitter=0.5, reply=reply),
    delays,
    st.builds(
        StepReply, saga_id=st.just(ORDER_ID), step=steps, undo=st.booleans(), attempt=attempts,
        success=st.booleans(), transient=st.booleans(),
    ),
)  # fmt: skip
timers = st.builds(
    lambda at, timer: HandleTimer(at=EPOCH + at, jitter=0.5, timer=timer),
    delays,
    st.builds(
        StepTimer, saga_id=st.just(ORDER_ID), step=steps, undo=st.booleans(), attempt=attempts,
        kind=st.sampled_from(["retry", "deadline"]),
    ),
)  # fmt: skip
commands = st.one_of(replies, replies, timers, st.sampled_from([START, CANCEL, AMEND, RESUME, RETRY_OVERDUE]))


@EXAMPLES
@given(st.lists(commands, max_size=60))
def test_any_commands_in_any_order_are_handled(sent: list[SagaCommand]) -> None:
    """Also replies that no request asked for and timers that were not set: no error, and a repeat emits nothing."""
    run = FULFILLMENT.initial
    for command in sent:
        run = assert_idempotent(FULFILLMENT, command, run)


def events_of(model: type[Message]) -> list[Message]:
    """Messages of one type with every combination of the values that `evolve` looks at."""
    fixed = FACTS.model_dump(mode="json") | {
        "saga_id": ORDER_ID, "items": [], "amount": {"amount": "1.00", "currency": "GBP"}, "transient": True,
        "error_code": "no", "error": "no", "by": "ops", "timer_id": "t", "timer_key": ORDER_ID,
        "due_at": "2026-01-01T00:00:00Z", "answer_by": "2026-01-01T00:00:00Z", "message_type": "x",
    }  # fmt: skip
    varied: dict[str, list[object]] = {
        "step": [*STEPS, "unheard_of"],
        "undo": [False, True],
        "attempt": [1, 2, 9],
        "cause": ["failed", "cancelled"],
        "facts_version": [0, 1, 3],
        "message": [{}, *({"step": step, "undo": undo, "attempt": 1, "kind": kind}
                          for step in STEPS for undo in (False, True) for kind in ("retry", "deadline")), {"step": "retry"}],
    }  # fmt: skip
    if model is not RunStarted:
        fixed["lines"] = []  # a request has lines of another type
    names = [name for name in varied if name in model.model_fields]
    return [
        model.model_validate(
            {name: value for name, value in {**fixed, **dict(zip(names, values, strict=True))}.items() if name in model.model_fields}
        )
        for values in product(*(varied[name] for name in names))
    ]  # fmt: skip


events = st.one_of([st.sampled_from(events_of(model)) for model in FULFILLMENT.events])
# made once: drawing each message field by field took far longer than folding it


@EXAMPLES
@given(st.lists(events, max_size=40))
def test_evolve_never_raises(history: list[Message]) -> None:
    FULFILLMENT.fold(history)
