"""What a run of a saga says next: a pure function of its table, its state and what it hears.

Forwards, every step whose predecessors are done is asked for at once. A transient failure is tried again after a
timer, a missing answer when its deadline has passed; a refusal, or the last attempt failing, turns the run back, and
so does a cancellation, also of a completed run. Backwards, a step is undone when everything after it is undone. An
undo that is refused or fails too often makes the run stuck, until somebody resumes it.

Late and repeated answers. A run that turns back does not wait for steps in flight: it undoes them too. What it relies
on is the receivers' contract: an undo succeeds even if nothing was done, and from then on the receiver refuses to do
that step. Of a step asked for (D) and then undone (U), the receiver handles one first:
- D, U: it was done and is undone. The answer to D may reach us before we send U (then U is simply sent), while U is
  under way (U covers it: D was handled first, or it would have been refused) or after the answer to U (it is undone).
- U, D: it is closed, and D is refused; a refusal says nothing new, and is not recorded.
So one undo is enough. Yet a success that reaches us after the answer to U is undone once more, even when the run has
ended: from here "delivered late" cannot be told from "done by a receiver that broke the contract", an undo too many
costs two messages, and one too few costs money. Each success counts once per attempt, so this ends.
Several attempts at one step are one step to its receiver: the first success of any of them counts. A refusal proves
that nothing was done only if no other attempt was ever made; every other failure leaves a doubt, and is undone.

Timers. A run keeps one deadline timer, at the earliest deadline of all open requests. It is left alone while later
ones come and go, set anew only when it has fired, and cancelled at the end; so a run without trouble costs one request
and one cancellation. A retry has a timer of its own. A fired timer stands for the time it was set for, whatever our
own clock says.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar, assert_never

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.saga import messages
from services.kit.saga.commands import Amend, Answer, Cancel, Nudge, Resume, SagaCommand, Start, TimerFired, saga_id_of
from services.kit.saga.evolve import evolve, newer
from services.kit.saga.moves import next_messages
from services.kit.saga.run import (
    Asked,
    Compensating,
    Completed,
    Done,
    Idle,
    NotStarted,
    Run,
    Running,
    StepRun,
    Stuck,
    Waiting,
    status_of,
)
from services.kit.saga.table import Saga, Step
from services.kit.saga.turn import Turn, ask_again, open_work, retry_overdue, tend_timers, time_out

__all__ = ["saga_decider"]

F = TypeVar("F", bound=messages.RunStarted)


def saga_decider(saga: Saga[F]) -> Decider[SagaCommand, Run]:
    """The decider whose aggregates are runs of `saga`."""
    return Decider(saga.category, NotStarted(), partial(decide, saga), evolve, saga.events, (Start,))


def decide(saga: Saga[F], command: SagaCommand, run: Run) -> Decision:
    """What follows from a command; a repeated one decides nothing."""
    turn = Turn(saga, saga_id_of(command), run, command.at, command.jitter)
    if isinstance(command, Resume) and not isinstance(run, Stuck):
        return _not_stuck(run)
    _hear(turn, command)
    while following := next_messages(saga, turn.run, turn.saga_id, command.at):
        turn.say(*following)
    tend_timers(turn, run)
    return turn.said


def _not_stuck(run: Run) -> Rejected:
    if isinstance(run, NotStarted):
        return Rejected("run-not-found", "there is no such run", missing=True)
    return Rejected("run-not-stuck", f"the run is {status_of(run)}: only a stuck one can be resumed")


# What is heard


def _hear(turn: Turn[F], command: SagaCommand) -> None:
    run, words = turn.run, turn.saga.vocabulary
    match command:
        case Start(facts=facts):
            if isinstance(run, NotStarted):
                turn.say(facts)
        case Answer(reply=reply):
            _answered(turn, reply)
        case TimerFired(timer=timer):
            _fired(turn, timer)
        case Cancel(reason=reason):
            if isinstance(run, Running | Completed) or (isinstance(run, NotStarted) and run.cancelled is None):
                turn.say(
                    words.compensating(saga_id=turn.saga_id, cause="cancelled", error_code="cancelled", error=reason)
                )
        case Amend(amendment=amendment):
            if _is_news(run, amendment):
                turn.say(amendment)
        case Resume(by=by):
            turn.say(words.resumed(saga_id=turn.saga_id, by=by))
        case Nudge():
            timer = None if isinstance(run, NotStarted) else run.progress.timer
            turn.deadline_fired = timer is not None and timer.due_at <= turn.at
            time_out(turn, turn.at)
            retry_overdue(turn)
        case _:
            assert_never(command)


def _is_news(run: Run, amendment: messages.RunAmended) -> bool:
    match run:
        case NotStarted(amendments=amendments):
            return amendment not in amendments
        case Running(progress=progress):
            return bool(newer(progress, amendment))
        case _:
            return False


def _answered(turn: Turn[F], reply: messages.StepReply) -> None:
    run = turn.run
    step = turn.saga.by_name.get(reply.step)
    if step is None or isinstance(run, NotStarted):
        return
    stands = run.progress.step(reply.step)
    if reply.success:
        news = _is_undone_now(run, stands, reply) if reply.undo else _is_done_now(run, stands, reply)
        if news:
            turn.say(_success(turn, reply))
        return
    work = open_work(run, stands, reply.undo)
    if isinstance(work, Asked) and work.attempt == reply.attempt:
        _failed(turn, step, stands, reply)


def _is_done_now(run: Run, step: StepRun, reply: messages.StepReply) -> bool:
    if isinstance(run, Running | Completed):
        return step.is_begun and not isinstance(step.doing, Done)
    return step.is_begun and reply.attempt not in step.successes


def _is_undone_now(run: Run, step: StepRun, reply: messages.StepReply) -> bool:
    is_asked = isinstance(run, Compensating | Stuck) and not isinstance(step.undoing, Idle | Done)
    return is_asked and step.undo_base < reply.attempt <= step.undoing.attempt


_REPLY_FIELDS = frozenset(messages.StepReply.model_fields)


def _success(turn: Turn[F], reply: messages.StepReply) -> messages.StepSucceeded:
    data: dict[str, JsonValue] = {}
    for name in type(reply).model_fields:
        value = getattr(reply, name)
        # lists can be long, and stand in the answer itself
        if name not in _REPLY_FIELDS and value is not None and not isinstance(value, tuple | list):
            data[name] = to_jsonable_python(value)
    return turn.saga.vocabulary.succeeded(
        saga_id=turn.saga_id, step=reply.step, undo=reply.undo, attempt=reply.attempt, data=data
    )


def _failed(turn: Turn[F], step: Step[F], stands: StepRun, reply: messages.StepReply) -> None:
    turn.say(
        turn.saga.vocabulary.failed(
            saga_id=turn.saga_id,
            step=reply.step,
            undo=reply.undo,
            attempt=reply.attempt,
            transient=reply.transient,
            error_code=reply.error_code or "failed",
            error=reply.error or "no reason was given",
        )
    )
    failures = reply.attempt - (stands.undo_base if reply.undo else 0)
    if reply.transient and failures < _attempts_max(step, reply.undo):
        due_at = turn.at + step.delay(failures, turn.jitter)
        turn.ask_for_timer(due_at, "retry", reply.step, reply.undo, reply.attempt + 1)


def _attempts_max(step: Step[F], undo: bool) -> int:
    return step.undo_attempts_max if undo else step.attempts_max


def _fired(turn: Turn[F], timer: messages.StepTimer) -> None:
    run = turn.run
    if isinstance(run, NotStarted):
        return
    if timer.kind == "retry":
        work = open_work(run, run.progress.step(timer.step), timer.undo)
        if isinstance(work, Waiting) and work.attempt + 1 == timer.attempt:
            ask_again(turn, timer.step, timer.undo)
        return
    is_set = run.progress.timer
    if is_set and (is_set.step, is_set.undo, is_set.attempt) == (timer.step, timer.undo, timer.attempt):
        turn.deadline_fired = True
        time_out(turn, max(turn.at, is_set.due_at))
