"""Every step of the table fails in every way. The tests loop over the table, so they cover a new row, too."""

from __future__ import annotations

import pytest

from services.contracts.fulfillment import RunStarted
from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.fulfillment.saga import ORDER_SAGA
from services.kit.saga.commands import HandleReply
from services.kit.saga.messages import RunCompensated, StepReply, StepRequest
from services.kit.saga.run import Compensated, Completed, Failed, Stuck
from services.kit.testing import EPOCH, Handling, Participants, SagaSimulator
from tests.sagas.facts import CANCEL, ORDER_ID, RESUME, START, STEPS, UNDOABLE, seconds, simulate

FAIL, REFUSE, IGNORE, LOST = Handling("fail"), Handling("refuse"), Handling("ignore"), Handling(replies=())
AFTER_THE_END = seconds(3_600)
COVERED_EVERY = seconds(100)
LAST_ATTEMPT = {step.name: step.attempts_max for step in ORDER_SAGA.steps}
LAST_UNDO = {step.name: step.undo_attempts_max for step in ORDER_SAGA.steps}
every_step = pytest.mark.parametrize("step", STEPS)
every_undo = pytest.mark.parametrize("step", [step for step in STEPS if step in UNDOABLE])


def run(script: dict[str, Handling]) -> SagaSimulator[RunStarted]:
    simulator = simulate(Participants.scripted(script))
    simulator.run_to_end()
    return simulator


def assert_nothing_left(simulator: SagaSimulator[RunStarted]) -> None:
    assert simulator.participants.done.isdisjoint(UNDOABLE)
    assert isinstance(simulator.run, Compensated | Failed)
    assert_no_timer_fires_after_the_end(simulator)


def assert_all_done(simulator: SagaSimulator[RunStarted]) -> None:
    assert isinstance(simulator.run, Completed)
    assert simulator.participants.done == set(STEPS)
    assert simulator.participants.undone == []
    assert not any(isinstance(event, StepRequest) and event.undo for event in simulator.history)
    assert_no_timer_fires_after_the_end(simulator)


def assert_no_timer_fires_after_the_end(simulator: SagaSimulator[RunStarted]) -> None:
    (end, *_) = [n for n, line in reversed(list(enumerate(simulator.trace))) if "RUN " in line]
    assert not any(" s  timer: " in line for line in simulator.trace[end:])


def undos_requested(simulator: SagaSimulator[RunStarted], step: str) -> int:
    return sum(isinstance(e, StepRequest) and e.undo and e.step == step for e in simulator.history)


def test_run_without_trouble_costs_one_timer() -> None:
    simulator = run({})
    assert_all_done(simulator)
    assert sum(isinstance(event, TimerRequested) for event in simulator.history) == 1
    assert sum(isinstance(event, TimerCancelled) for event in simulator.history) == 1


def test_run_without_trouble_costs_no_timer_while_another_covers_its_deadlines() -> None:
    simulator = SagaSimulator(ORDER_SAGA, Participants.scripted({}), covered_every=COVERED_EVERY)
    simulator.send(START)
    simulator.run_to_end()
    assert_all_done(simulator)
    assert not any(isinstance(event, TimerRequested | TimerCancelled) for event in simulator.history)


@every_step
def test_lost_reply_is_noticed_at_its_deadline_although_another_timer_covered_it(step: str) -> None:
    simulator = SagaSimulator(ORDER_SAGA, Participants.scripted({f"{step} #1": LOST}), covered_every=COVERED_EVERY)
    simulator.send(START)
    simulator.run_to_end()
    assert_all_done(simulator)
    (missed,) = [line for line in simulator.trace if "timed out" in line]
    [at] = [line for line in simulator.trace[: simulator.trace.index(missed)] if " s  timer: " in line][-1:]
    assert float(at.split()[0]) == pytest.approx(ORDER_SAGA.by_name[step].deadline.total_seconds(), abs=1)


@every_step
def test_refused_step_is_not_undone_and_the_others_are(step: str) -> None:
    simulator = run({f"{step} #1": REFUSE})
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 0  # a refusal of the only attempt is certain


@every_step
def test_step_that_fails_once_is_retried(step: str) -> None:
    assert_all_done(run({f"{step} #1": FAIL}))


@every_undo
def test_step_that_fails_every_attempt_is_undone(step: str) -> None:
    simulator = run({f"{step} #{n}": FAIL for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 1  # it may have been done all the same


@every_undo
def test_step_that_was_done_and_reported_failed_is_undone(step: str) -> None:
    simulator = run({f"{step} #{n}": Handling("doubt") for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert step in simulator.participants.undone


@every_step
def test_refusal_after_a_lost_reply_still_undoes_the_step(step: str) -> None:
    simulator = simulate(Participants.scripted({f"{step} #1": LOST, f"{step} #2": LOST}))
    refusal = StepReply(saga_id=ORDER_ID, step=step, attempt=2, success=False, error_code="no", error="no")
    simulator.send(HandleReply(at=EPOCH, jitter=0.0, reply=refusal), 1.5 * ORDER_SAGA.by_name[step].deadline)
    simulator.run_to_end()
    assert_nothing_left(simulator)


@every_step
@pytest.mark.parametrize("handling", [IGNORE, LOST], ids=["not done", "done"])
def test_step_without_a_reply_is_requested_again(step: str, handling: Handling) -> None:
    assert_all_done(run({f"{step} #1": handling}))


@every_undo
@pytest.mark.parametrize("handling", [IGNORE, LOST], ids=["not done", "done"])
def test_step_that_never_gets_a_reply_is_undone(step: str, handling: Handling) -> None:
    simulator = run({f"{step} #{n}": handling for n in range(1, LAST_ATTEMPT[step] + 1)})
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 1


@every_step
def test_repeated_replies_count_once(step: str) -> None:
    thrice = Handling(replies=(seconds(0.01), seconds(0.011), seconds(500)))
    assert_all_done(run({f"{step} #1": thrice}))


@every_step
@pytest.mark.parametrize("late", [130.0, 400.0, 5_000.0])
def test_a_late_reply_is_accepted_or_undone(step: str, late: float) -> None:
    """The reply arrives before that of another attempt, during the undo, or long after the end."""
    script = {f"{step} #{n}": Handling(replies=(seconds(late),)) for n in range(1, LAST_ATTEMPT[step] + 1)}
    simulator = run(script)
    if isinstance(simulator.run, Completed):
        assert_all_done(simulator)
    else:
        assert_nothing_left(simulator)


@every_undo
def test_request_overtaken_by_its_undo_is_refused(step: str) -> None:
    simulator = simulate(Participants.scripted({f"{step} #1": Handling(delay=seconds(60))}))
    simulator.send(CANCEL, seconds(10))
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert step not in simulator.participants.ever_done


@every_undo
def test_success_after_the_undo_was_answered_is_undone_again(step: str) -> None:
    simulator = simulate(Participants.scripted({f"{step} #1": Handling(replies=(seconds(60),))}))
    simulator.send(CANCEL, seconds(10))
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 2
    assert sum(isinstance(event, RunCompensated) for event in simulator.history) == 2


@every_undo
def test_repeated_replies_to_an_undo_count_once(step: str) -> None:
    script = {f"undo {step} #1": Handling(replies=(seconds(0.01), seconds(0.02), seconds(700)))}
    simulator = simulate(Participants.scripted(script))
    simulator.send(CANCEL, AFTER_THE_END)
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 1


@every_undo
@pytest.mark.parametrize("handling", [FAIL, IGNORE, LOST], ids=["fails", "not done", "done"])
def test_undo_that_fails_once_is_retried(step: str, handling: Handling) -> None:
    simulator = simulate(Participants.scripted({f"undo {step} #1": handling}))
    simulator.send(CANCEL, AFTER_THE_END)
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == 2


@every_undo
@pytest.mark.parametrize("handling", [FAIL, IGNORE, LOST, REFUSE], ids=["fails", "not done", "done", "refused"])
def test_run_is_stuck_after_the_last_failed_undo_until_it_is_resumed(step: str, handling: Handling) -> None:
    attempts = 1 if handling is REFUSE else LAST_UNDO[step]
    simulator = simulate(Participants.scripted({f"undo {step} #{n}": handling for n in range(1, attempts + 1)}))
    simulator.send(CANCEL, AFTER_THE_END)
    stuck = simulator.run_to_end()
    assert isinstance(stuck, Stuck)
    assert stuck.steps == {step}
    before = {name for name in STEPS if STEPS.index(name) < STEPS.index(step) and len(ORDER_SAGA.by_name[step].after)}
    assert before <= simulator.participants.done, "no step is undone before a later one"
    simulator.send(RESUME)
    simulator.run_to_end()
    assert_nothing_left(simulator)


@every_undo
def test_resumed_run_can_be_stuck_again(step: str) -> None:
    simulator = simulate(Participants.scripted({f"undo {step} #1": REFUSE, f"undo {step} #2": REFUSE}))
    simulator.send(CANCEL, AFTER_THE_END)
    assert isinstance(simulator.run_to_end(), Stuck)
    simulator.send(RESUME)
    assert isinstance(simulator.run_to_end(), Stuck)
    simulator.send(RESUME)
    simulator.run_to_end()
    assert_nothing_left(simulator)


@pytest.mark.parametrize("millisecond", range(0, 60, 5))
def test_run_cancelled_at_any_moment_undoes_everything(millisecond: int) -> None:
    simulator = simulate(Participants.scripted({}))
    simulator.send(CANCEL, seconds(millisecond / 1000))
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert [event.cause for event in simulator.history if isinstance(event, RunCompensated)] == ["cancelled"]


@every_step
@pytest.mark.parametrize("handling", [REFUSE, FAIL, IGNORE], ids=["refused", "fails", "silent"])
def test_cancellation_while_a_step_fails(step: str, handling: Handling) -> None:
    simulator = simulate(Participants.scripted({f"{step} #{n}": handling for n in range(1, 5)}))
    simulator.send(CANCEL, seconds(0.055))
    simulator.run_to_end()
    assert_nothing_left(simulator)


@every_undo
def test_a_step_is_undone_after_every_step_that_depends_on_it(step: str) -> None:
    simulator = simulate(Participants.scripted({}))
    simulator.send(CANCEL, AFTER_THE_END)
    simulator.run_to_end()
    undone = simulator.participants.undone
    assert set(undone) == UNDOABLE
    assert all(undone.index(later) < undone.index(step) for later in UNDOABLE & set(ORDER_SAGA.dependents[step]))


@every_step
def test_cancellation_while_a_retry_is_scheduled(step: str) -> None:
    simulator = simulate(Participants.scripted({f"{step} #1": FAIL}))
    simulator.send(CANCEL, seconds(0.3))
    simulator.run_to_end()
    assert_nothing_left(simulator)


@every_undo
def test_resumed_undo_gets_as_many_attempts_as_before(step: str) -> None:
    attempts = LAST_UNDO[step] + 2
    simulator = simulate(Participants.scripted({f"undo {step} #{n}": FAIL for n in range(1, attempts + 1)}))
    simulator.send(CANCEL, AFTER_THE_END)
    assert isinstance(simulator.run_to_end(), Stuck)
    simulator.send(RESUME)
    simulator.run_to_end()
    assert_nothing_left(simulator)
    assert undos_requested(simulator, step) == attempts + 1
    timers = [event for event in simulator.history if isinstance(event, TimerRequested)]
    assert sum(timer.message["kind"] == "retry" for timer in timers) == attempts - 1  # all but what made it stuck


@every_step
def test_the_deadline_timer_fires_while_only_a_retry_is_pending(step: str) -> None:
    """The run must not take a timer that fired in vain for one that will still fire."""
    almost = ORDER_SAGA.by_name[step].deadline - seconds(0.1)
    assert_all_done(run({f"{step} #1": Handling("fail", replies=(almost,)), f"{step} #2": IGNORE}))
