"""Every step of the table, failed in every way, at every place: a loop, so that a new row is tested by being there."""

from __future__ import annotations

import pytest

from services.contracts.fulfillment import RunStarted
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.saga import ORDER_SAGA
from services.kit.saga.commands import Answer
from services.kit.saga.messages import RunCompensated, StepReply, StepRequest
from services.kit.saga.run import Compensated, Completed, Failed, Stuck
from services.kit.testing import EPOCH, Act, Receivers, SagaSimulator
from tests.sagas.facts import CANCEL, ORDER_ID, RESUME, STEPS, seconds, simulate

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
    assert_quiet_after_the_end(simulator)


def assert_all_done(simulator: SagaSimulator[RunStarted]) -> None:
    assert isinstance(simulator.run, Completed)
    assert simulator.receivers.done == set(STEPS)
    assert simulator.receivers.undone == []
    assert not any(isinstance(event, StepRequest) and event.undo for event in simulator.history)
    assert_quiet_after_the_end(simulator)


def assert_quiet_after_the_end(simulator: SagaSimulator[RunStarted]) -> None:
    (end, *_) = [n for n, line in reversed(list(enumerate(simulator.trace))) if "RUN " in line]
    assert not any("timer fires" in line for line in simulator.trace[end:])


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
    simulator = simulate(Receivers.scripted({f"{step} #1": LOST, f"{step} #2": LOST}))
    refusal = StepReply(saga_id=ORDER_ID, step=step, attempt=2, success=False, error_code="no", error="no")
    simulator.tell(Answer(at=EPOCH, jitter=0.0, reply=refusal), 1.5 * ORDER_SAGA.by_name[step].deadline)
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


@every_step
def test_a_step_is_undone_after_every_step_that_depends_on_it(step: str) -> None:
    simulator = simulate(Receivers.scripted({}))
    simulator.tell(CANCEL, AFTER_ALL)
    simulator.play()
    undone = simulator.receivers.undone
    assert set(undone) == set(STEPS)
    assert all(undone.index(later) < undone.index(step) for later in ORDER_SAGA.dependents[step])


@every_step
def test_cancelled_while_a_retry_is_pending(step: str) -> None:
    simulator = simulate(Receivers.scripted({f"{step} #1": FAIL}))
    simulator.tell(CANCEL, seconds(0.3))
    simulator.play()
    assert_nothing_left(simulator)


@every_step
def test_after_a_resume_an_undo_is_tried_as_often_as_before(step: str) -> None:
    attempts = LAST_UNDO[step] + 2
    simulator = simulate(Receivers.scripted({f"undo {step} #{n}": FAIL for n in range(1, attempts + 1)}))
    simulator.tell(CANCEL, AFTER_ALL)
    assert isinstance(simulator.play(), Stuck)
    simulator.tell(RESUME)
    simulator.play()
    assert_nothing_left(simulator)
    assert undos_asked(simulator, step) == attempts + 1
    timers = [event for event in simulator.history if isinstance(event, TimerRequested)]
    assert sum(timer.message["kind"] == "retry" for timer in timers) == attempts - 1  # all but what made it stuck


@every_step
def test_the_deadline_timer_fires_while_only_a_retry_is_pending(step: str) -> None:
    """A timer that fired in vain must not be taken for one that will still fire."""
    almost = ORDER_SAGA.by_name[step].deadline - seconds(0.1)
    assert_all_done(play({f"{step} #1": Act("fail", answers=(almost,)), f"{step} #2": IGNORE}))
