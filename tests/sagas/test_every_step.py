"""Every step of the table, failed in every way, at every place: a loop, so that a new row is tested by being there."""

from __future__ import annotations

import pytest

from services.contracts.fulfillment import RunAmended, RunStarted
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.saga import FULFILLMENT, ORDER_SAGA
from services.kit.saga.commands import Amend, Answer, TimerFired
from services.kit.saga.messages import RunCompensated, StepReply, StepRequest, StepTimer
from services.kit.saga.run import Compensated, Completed, Failed, Running, Stuck
from services.kit.testing import EPOCH, Act, Receivers, SagaSimulator, assert_idempotent
from tests.sagas.facts import CANCEL, NUDGE, ORDER_ID, RESUME, START, STEPS, decided, seconds, simulate

FAIL, REFUSE, IGNORE, LOST = Act("fail"), Act("refuse"), Act("ignore"), Act(answers=())
AFTER_ALL = seconds(3_600)
LAST_ATTEMPT = {step.name: step.attempts_max for step in ORDER_SAGA.steps}
LAST_UNDO = {step.name: step.undo_attempts_max for step in ORDER_SAGA.steps}
every_step = pytest.mark.parametrize("step", STEPS)


def play(script: dict[str, Act]) -> SagaSimulator[RunStarted]:
    simulator = simulate(Receivers.scripted(script))
    simulator.play()
    return simulator


def assert_nothing_left(simulator: SagaSimulator[RunStarted]) -> None:
    assert simulator.receivers.done == set()
    assert isinstance(simulator.run, Compensated | Failed)


def assert_all_done(simulator: SagaSimulator[RunStarted]) -> None:
    assert isinstance(simulator.run, Completed)
    assert simulator.receivers.done == set(STEPS)
    assert simulator.receivers.undone == []
    assert not any(isinstance(event, StepRequest) and event.undo for event in simulator.history)


def undos_asked(simulator: SagaSimulator[RunStarted], step: str) -> int:
    return sum(isinstance(e, StepRequest) and e.undo and e.step == step for e in simulator.history)


def test_a_run_without_trouble_costs_one_timer() -> None:
    simulator = play({})
    assert_all_done(simulator)
    assert sum(isinstance(event, TimerRequested) for event in simulator.history) == 1
    assert sum(isinstance(event, TimerCancelled) for event in simulator.history) == 1


@every_step
def test_refused(step: str) -> None:
    simulator = play({f"{step} #1": REFUSE})
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 0  # a refusal of the only attempt is certain


@every_step
def test_fails_once(step: str) -> None:
    assert_all_done(play({f"{step} #1": FAIL}))


@every_step
def test_fails_until_it_is_given_up(step: str) -> None:
    simulator = play({f"{step} #{n}": FAIL for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 1  # it may have been done all the same


@every_step
def test_fails_although_it_was_done(step: str) -> None:
    simulator = play({f"{step} #{n}": Act("doubt") for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert step in simulator.receivers.undone


@every_step
def test_refused_after_an_attempt_that_was_done_and_not_answered(step: str) -> None:
    deadline = ORDER_SAGA.by_name[step].deadline
    simulator = simulate(Receivers.scripted({f"{step} #1": Act(answers=(5 * deadline,)), f"{step} #2": LOST}))
    simulator.tell(
        Answer(
            at=EPOCH,
            jitter=0.0,
            reply=StepReply(saga_id=ORDER_ID, step=step, attempt=2, success=False, error_code="no", error="no"),
        ),
        1.5 * deadline,
    )
    simulator.play()
    assert_nothing_left(simulator)


@every_step
@pytest.mark.parametrize("act", [IGNORE, LOST], ids=["not done", "done"])
def test_not_answered_once(step: str, act: Act) -> None:
    assert_all_done(play({f"{step} #1": act}))


@every_step
@pytest.mark.parametrize("act", [IGNORE, LOST], ids=["not done", "done"])
def test_never_answered(step: str, act: Act) -> None:
    simulator = play({f"{step} #{n}": act for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 1


@every_step
def test_answered_many_times(step: str) -> None:
    thrice = Act(answers=(seconds(0.01), seconds(0.011), seconds(500)))
    assert_all_done(play({f"{step} #1": thrice}))


@every_step
@pytest.mark.parametrize("late", [130.0, 400.0, 5_000.0])
def test_answered_late(step: str, late: float) -> None:
    """Before another attempt is answered, while it is undone, long after the end."""
    script = {f"{step} #{n}": Act(answers=(seconds(late),)) for n in range(1, LAST_ATTEMPT[step] + 1)}
    simulator = play(script)
    if isinstance(simulator.run, Completed):
        assert_all_done(simulator)
    else:
        assert_nothing_left(simulator)


@every_step
def test_done_only_after_it_was_asked_to_be_undone(step: str) -> None:
    """The request is overtaken by its undo: the receiver has closed the step and refuses it."""
    simulator = simulate(Receivers.scripted({f"{step} #1": Act(delay=seconds(60))}))
    simulator.tell(CANCEL, seconds(10))
    simulator.play()
    assert_nothing_left(simulator)
    assert step not in simulator.receivers.ever_done


@every_step
def test_success_after_the_undo_was_answered_is_undone_again(step: str) -> None:
    simulator = simulate(Receivers.scripted({f"{step} #1": Act(answers=(seconds(60),))}))
    simulator.tell(CANCEL, seconds(10))
    simulator.play()
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 2
    assert sum(isinstance(event, RunCompensated) for event in simulator.history) == 2


@every_step
def test_undone_twice(step: str) -> None:
    script = {f"undo {step} #1": Act(answers=(seconds(0.01), seconds(0.02), seconds(700)))}
    simulator = simulate(Receivers.scripted(script))
    simulator.tell(CANCEL, AFTER_ALL)
    simulator.play()
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 1


@every_step
@pytest.mark.parametrize("act", [FAIL, IGNORE, LOST], ids=["fails", "not done", "done"])
def test_undo_goes_wrong_once(step: str, act: Act) -> None:
    simulator = simulate(Receivers.scripted({f"undo {step} #1": act}))
    simulator.tell(CANCEL, AFTER_ALL)
    simulator.play()
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == 2


@every_step
@pytest.mark.parametrize("act", [FAIL, IGNORE, LOST, REFUSE], ids=["fails", "not done", "done", "refused"])
def test_undo_goes_wrong_until_stuck_and_is_resumed(step: str, act: Act) -> None:
    attempts = 1 if act is REFUSE else LAST_UNDO[step]
    simulator = simulate(Receivers.scripted({f"undo {step} #{n}": act for n in range(1, attempts + 1)}))
    simulator.tell(CANCEL, AFTER_ALL)
    stuck = simulator.play()
    assert isinstance(stuck, Stuck)
    assert stuck.steps == {step}
    before = {name for name in STEPS if STEPS.index(name) < STEPS.index(step) and len(ORDER_SAGA.by_name[step].after)}
    assert before <= simulator.receivers.done, "nothing is undone before what comes after it"
    simulator.tell(RESUME)
    simulator.play()
    assert_nothing_left(simulator)


@every_step
def test_a_resumed_run_can_be_stuck_again(step: str) -> None:
    simulator = simulate(Receivers.scripted({f"undo {step} #1": REFUSE, f"undo {step} #2": REFUSE}))
    simulator.tell(CANCEL, AFTER_ALL)
    assert isinstance(simulator.play(), Stuck)
    simulator.tell(RESUME)
    assert isinstance(simulator.play(), Stuck)
    simulator.tell(RESUME)
    simulator.play()
    assert_nothing_left(simulator)


@pytest.mark.parametrize("millisecond", range(0, 60, 5))
def test_cancelled_at_every_point(millisecond: int) -> None:
    simulator = simulate(Receivers.scripted({}))
    simulator.tell(CANCEL, seconds(millisecond / 1000))
    simulator.play()
    assert_nothing_left(simulator)
    assert [event.cause for event in simulator.history if isinstance(event, RunCompensated)] == ["cancelled"]


@every_step
@pytest.mark.parametrize("act", [REFUSE, FAIL, IGNORE], ids=["refused", "fails", "silent"])
def test_cancelled_while_in_trouble(step: str, act: Act) -> None:
    simulator = simulate(Receivers.scripted({f"{step} #{n}": act for n in range(1, 5)}))
    simulator.tell(CANCEL, seconds(0.055))
    simulator.play()
    assert_nothing_left(simulator)


def test_undone_strictly_after_what_comes_after() -> None:
    simulator = simulate(Receivers.scripted({}))
    simulator.tell(CANCEL, AFTER_ALL)
    simulator.play()
    undone = simulator.receivers.undone
    assert undone[:3] == ["send_confirmation", "create_shipment", "capture_payment"]
    assert set(undone[3:]) == set(STEPS[:3])


def test_lost_timers_are_made_good_by_a_nudge() -> None:
    run = FULFILLMENT.fold(decided(START, FULFILLMENT.initial))
    assert decided(NUDGE, run) == []
    simulator = simulate(Receivers.scripted({f"{step} #1": IGNORE for step in STEPS}))
    simulator._cancelled.update(range(2, 40))  # no timer fires any more, and no request arrives
    simulator.play()
    assert isinstance(simulator.run, Running)
    simulator._cancelled.clear()
    simulator.tell(NUDGE, AFTER_ALL)
    simulator.play()
    assert_all_done(simulator)


def test_strangers_change_nothing() -> None:
    run = FULFILLMENT.fold(decided(START, FULFILLMENT.initial))
    replies = [
        StepReply(saga_id=ORDER_ID, step="unheard_of"),
        StepReply(saga_id=ORDER_ID, step="capture_payment"),
        StepReply(saga_id=ORDER_ID, step="reserve_inventory", undo=True),
        StepReply(saga_id=ORDER_ID, step="reserve_inventory", attempt=7, success=False, transient=True),
    ]
    for reply in replies:
        assert decided(Answer(at=EPOCH, jitter=0.0, reply=reply), run) == []
        assert decided(Answer(at=EPOCH, jitter=0.0, reply=reply), FULFILLMENT.initial) == []
    for kind in ("retry", "deadline"):
        timer = StepTimer(saga_id=ORDER_ID, step="unheard_of", attempt=1, kind=kind)
        assert decided(TimerFired(at=EPOCH, jitter=0.0, timer=timer), run) == []


def test_changes_in_any_order_leave_the_newest() -> None:
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
