"""Single rules of the interpreter, each shown by the shortest history."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from services.contracts.fulfillment import RunAmended, RunStarted, StepSucceeded, StepTimedOut, StepTimer
from services.contracts.orders import OrderFinalized
from services.contracts.payments import PaymentCapture, PaymentVoid
from services.contracts.scheduler import TimerRequested
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA, OrderStep
from services.fulfillment.vocabulary import VOCABULARY
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message
from services.kit.saga.commands import Amend, HandleReply, HandleTimer, SagaCommand
from services.kit.saga.messages import StepReply, StepRequest, TimerKind
from services.kit.saga.run import Compensated, Run, Running
from services.kit.saga.table import Saga
from services.kit.testing import EPOCH, Participants, assert_idempotent
from tests.sagas.facts import CANCEL, FACTS, ORDER_ID, RESUME, RETRY_OVERDUE, START, STEPS, decided, simulate

HOUR = timedelta(hours=1)


def answer(step: str, *, undo: bool = False, attempt: int = 1, failed: bool = False) -> HandleReply:
    reply = StepReply(saga_id=ORDER_ID, step=step, undo=undo, attempt=attempt, success=not failed, transient=failed)
    return HandleReply(at=EPOCH, jitter=0.5, reply=reply)


def timer(step: str, kind: TimerKind, attempt: int, *, undo: bool = False, late: timedelta = HOUR) -> HandleTimer:
    said = StepTimer(saga_id=ORDER_ID, step=step, undo=undo, attempt=attempt, kind=kind)
    return HandleTimer(at=EPOCH + late, jitter=0.5, timer=said)


def after(*commands: SagaCommand) -> Run:
    run = FULFILLMENT.initial
    for command in commands:
        run = assert_idempotent(FULFILLMENT, command, run)
    return run


def of_kind(events: list[Message], kind: type[Message]) -> list[Message]:
    return [event for event in events if isinstance(event, kind)]


def test_overdue_requests_are_retried_without_a_timer() -> None:
    run = after(START, answer("reserve_inventory", failed=True))
    assert decided(RETRY_OVERDUE, run) == []
    late = replace(RETRY_OVERDUE, at=EPOCH + HOUR)
    retried = decided(late, run)
    assert len(of_kind(retried, StepTimedOut)) == 2
    assert sorted(event.step for event in retried if isinstance(event, StepRequest)) == sorted(STEPS[:3])
    assert [event.attempt for event in retried if isinstance(event, StepRequest)] == [2, 2, 2]
    (again,) = [event for event in retried if isinstance(event, TimerRequested)]
    assert again.due_at > late.at
    assert_idempotent(FULFILLMENT, late, run)


def test_unknown_steps_and_attempts_change_nothing() -> None:
    run = FULFILLMENT.fold(decided(START, FULFILLMENT.initial))
    replies = [
        StepReply(saga_id=ORDER_ID, step="unheard_of"),
        StepReply(saga_id=ORDER_ID, step="capture_payment"),
        StepReply(saga_id=ORDER_ID, step="reserve_inventory", undo=True),
        StepReply(saga_id=ORDER_ID, step="reserve_inventory", attempt=7, success=False, transient=True),
    ]
    for reply in replies:
        assert decided(HandleReply(at=EPOCH, jitter=0.0, reply=reply), run) == []
        assert decided(HandleReply(at=EPOCH, jitter=0.0, reply=reply), FULFILLMENT.initial) == []
    for kind in ("retry", "deadline"):
        timer = StepTimer(saga_id=ORDER_ID, step="unheard_of", attempt=1, kind=kind)
        assert decided(HandleTimer(at=EPOCH, jitter=0.0, timer=timer), run) == []


def test_the_newest_facts_win_in_any_order_of_arrival() -> None:
    def change(version: int, email: str) -> Amend:
        amendment = RunAmended(saga_id=ORDER_ID, facts_version=version, email=email)
        return Amend(at=EPOCH, jitter=0.0, amendment=amendment)

    old, middle, new = change(1, "old@example.org"), change(2, "middle@example.org"), change(3, "new@example.org")
    for order in ([old, new, START, middle], [START, new, middle, old], [new, middle, old, START]):
        run = FULFILLMENT.initial
        for command in order:
            run = assert_idempotent(FULFILLMENT, command, run)
        assert isinstance(run, Running)
        assert isinstance(run.progress.facts, RunStarted)
        assert run.progress.facts.email == "new@example.org"


def test_facts_that_come_with_a_reply_are_taken_only_if_an_amendment_was_missed() -> None:
    def final(version: int) -> HandleReply:
        amendment = RunAmended(saga_id=ORDER_ID, facts_version=version, email="final@example.org")
        return HandleReply(
            at=EPOCH, jitter=0.0, reply=StepReply(saga_id=ORDER_ID, step="finalize_order"), amendment=amendment
        )

    run = after(START, *(answer(step) for step in STEPS[:3]))
    assert [type(event) for event in decided(final(2), run)] == [StepSucceeded, PaymentCapture]
    assert [type(event) for event in decided(final(3), run)] == [RunAmended, StepSucceeded, PaymentCapture]
    late = Amend(
        at=EPOCH, jitter=0.0, amendment=RunAmended(saga_id=ORDER_ID, facts_version=2, email="late@example.org")
    )
    assert decided(late, after(START, *(answer(step) for step in STEPS[:3]), final(3))) == []


def test_the_record_of_a_reply_repeats_no_fact_of_the_run() -> None:
    address = FACTS.shipping_address
    reply = OrderFinalized(saga_id=ORDER_ID, step="finalize_order", email="ann@example.org", shipping_address=address)
    events = decided(
        HandleReply(at=EPOCH, jitter=0.0, reply=reply), after(START, *(answer(step) for step in STEPS[:3]))
    )
    assert [event.data for event in events if isinstance(event, StepSucceeded)] == [{}]


def test_timer_counts_as_its_due_time_even_if_the_clock_is_behind() -> None:
    early = timer("reserve_inventory", "deadline", 1, late=timedelta(0))
    assert len(of_kind(decided(early, after(START)), StepTimedOut)) == 3


def test_a_repeated_retry_timer_is_not_taken_for_the_next_one() -> None:
    first = timer("reserve_inventory", "retry", 2)
    run = after(
        START, answer("reserve_inventory", failed=True), first, answer("reserve_inventory", failed=True, attempt=2)
    )
    assert decided(first, run) == []


def test_a_success_of_each_attempt_counts_once_even_after_the_undo() -> None:
    everything = [answer(step, undo=True) for step in STEPS[:3]]
    deadline = timer("reserve_inventory", "deadline", 1)
    run = after(START, deadline, answer("authorize_payment"), CANCEL, *everything)
    assert isinstance(run, Compensated)
    second = decided(answer("authorize_payment", attempt=2), run)
    assert len(of_kind(second, PaymentVoid)) == 1
    assert decided(answer("authorize_payment"), run) == []


def test_reply_to_an_undo_of_an_earlier_round_does_not_count() -> None:
    others = [answer(step, undo=True) for step in (STEPS[0], STEPS[2])]
    run = after(
        START, CANCEL, *others,
        timer("authorize_payment", "deadline", 1, undo=True),
        timer("reserve_inventory", "deadline", 1, undo=True),
        timer("reserve_inventory", "deadline", 1),
        timer("authorize_payment", "deadline", 1, undo=True),
    )  # fmt: skip
    run = after_more(run, answer("authorize_payment", undo=True, attempt=2), answer("authorize_payment"))
    assert decided(answer("authorize_payment", undo=True, attempt=1), run) == []
    run = after_more(run, answer("authorize_payment", undo=True, attempt=3))
    assert isinstance(run, Compensated)


def after_more(run: Run, *commands: SagaCommand) -> Run:
    for command in commands:
        run = assert_idempotent(FULFILLMENT, command, run)
    return run


def test_only_a_stuck_run_can_be_resumed() -> None:
    assert FULFILLMENT.decide(RESUME, FULFILLMENT.initial) == Rejected(
        "run-not-found", "There is no run with this id.", missing=True
    )
    running = FULFILLMENT.decide(RESUME, after(START))
    assert isinstance(running, Rejected) and running.code == "run-not-stuck"


def test_delays_of_retries_double_up_to_a_bound() -> None:
    step = ORDER_SAGA.steps[0]
    assert [step.delay(n, 0.0).total_seconds() for n in (1, 2, 3, 4)] == [0.5, 1, 2, 4]
    assert step.delay(1, 0.999) > step.delay(1, 0.0)
    assert step.delay(10_000, 0.999) <= step.retry_delay_max


def step_named(name: str, *after: str, deadline: timedelta = HOUR, attempts_max: int = 1) -> OrderStep:
    template = ORDER_SAGA.steps[0]
    return OrderStep(name=name, after=after, do=template.do, undo=None, deadline=deadline, attempts_max=attempts_max)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (step_named("a"), step_named("a")),
        (step_named("a", "b"), step_named("b", "a")),
        (step_named("a", "a"),),
        (step_named("a", "nowhere"),),
        (step_named("a", deadline=timedelta(0)),),
        (step_named("a", attempts_max=0),),
    ],
    ids=["empty", "twice", "cycle", "itself", "unknown", "no time", "no attempt"],
)
def test_invalid_table_is_refused(steps: tuple[OrderStep, ...]) -> None:
    with pytest.raises(ValueError, match="step"):
        Saga("x", VOCABULARY, steps)


def test_step_without_undo_keeps_the_order_of_the_other_undos() -> None:
    first, second, third = "reserve_inventory", "authorize_payment", "prepare_fulfillment"
    rows = {step.name: step for step in ORDER_SAGA.steps}
    chain = Saga(
        "chain", VOCABULARY,
        (
            OrderStep(name=first, do=rows[first].do, undo=rows[first].undo, deadline=HOUR),
            OrderStep(name=second, after=(first,), do=rows[second].do, undo=None, deadline=HOUR),
            OrderStep(name=third, after=(second,), do=rows[third].do, undo=rows[third].undo, deadline=HOUR),
        ),
    )  # fmt: skip
    simulator = simulate(Participants.scripted({}), saga=chain)
    simulator.send(CANCEL, HOUR)
    simulator.run_to_end()
    assert simulator.participants.undone == [third, first]
