"""Decides what a run of a saga does next: a pure function of its table, its state and a command.

Forwards, the run requests every step whose predecessors are done, at once. It tries again after a transient failure,
when a timer fires, and after a missing reply, when the deadline has passed. It compensates after a refusal, after the
last attempt failed, and after a cancellation, also when it had completed. Backwards, it undoes a step when every later
step is undone. An undo that is refused, or fails too often, makes the run stuck until an operator resumes it.

Late and repeated replies. A run that compensates does not wait for steps in flight: it undoes them too. It relies on
the contract of the participants: an undo succeeds even if nothing was done, and from then on the participant refuses to
do the step. Of a step that was requested (D) and then undone (U), the participant handles one first:
- D, U: it did the step, and undid it. The reply to D may reach the run before it requests U, while U is under way, or
  after the reply to U. In each case the step is undone.
- U, D: it closed the step, and refuses D. A refusal after the undo changes nothing, and is not recorded.
So one undo is enough. Yet the run undoes a step once more if a success arrives after the reply to U, even when the run
has ended: it cannot tell a late delivery from a participant that broke the contract; an undo too many costs two
messages, an undo too few costs money. Each success counts once per attempt, so this ends.
An undo that succeeded may be taken back later (a refund that fails days after it began): the reply that revokes it
makes the run stuck, also when it had ended.
All attempts at a step are one step to the participant: the first success counts. A refusal proves that nothing was done
only if no other attempt was made; after every other failure the run undoes the step.

A participant that has begun an undo or a step and needs days replies by when it will reply: until then the run waits.

Timers. A run keeps one deadline timer, for the earliest deadline of all open requests. Later deadlines leave it alone;
the run sets a new one when it fired, and cancels it at the end. So a run without trouble costs one timer request and
one cancellation; it costs neither if its commands say that another timer covers the deadlines (`covered_until`). Each
retry has a timer of its own. A timer that fires counts as the time for which it was set, whatever the clock of this
process says.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar, assert_never

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.saga import messages
from services.kit.saga.commands import (
    Amend,
    Cancel,
    Close,
    HandleReply,
    HandleTimer,
    Resume,
    RetryOverdue,
    SagaCommand,
    Start,
    saga_id_of,
)
from services.kit.saga.decision import (
    DecisionBuilder,
    awaited,
    emit_timeouts,
    request_again,
    retry_overdue,
    update_timers,
)
from services.kit.saga.evolve import evolve, facts_version, newer
from services.kit.saga.next_events import next_events
from services.kit.saga.participant import reply_to
from services.kit.saga.run import (
    Compensating,
    Completed,
    NotRequested,
    NotStarted,
    Requested,
    RetryScheduled,
    Run,
    Running,
    StepRun,
    Stuck,
    Succeeded,
)
from services.kit.saga.table import Saga, Step, table_of

__all__ = ["saga_decider"]

F = TypeVar("F", bound=messages.RunStarted)


def saga_decider(*tables: Saga[F]) -> Decider[SagaCommand, Run]:
    """The decider whose aggregates are the runs of a saga; `tables` are its versions, the newest last."""
    events = tuple(dict.fromkeys(event for table in tables for event in table.events))
    return Decider(tables[-1].category, NotStarted(), partial(decide, tables), evolve, events, (Start,))


def decide(tables: Sequence[Saga[F]], command: SagaCommand, run: Run) -> Decision:
    """The events of a command; a repeated command emits none. A run keeps to the table under which it began."""
    saga = table_of(tables, run)
    decision = DecisionBuilder(saga, saga_id_of(command), run, command.at, command.jitter, command.covered_until)
    if isinstance(command, Resume) and not isinstance(run, Stuck):
        return _not_stuck(run)
    _apply(decision, command)
    while events := next_events(saga, decision.run, command.at):
        decision.emit(*events)
    update_timers(decision, run)
    return decision.events


def _not_stuck(run: Run) -> Rejected:
    if isinstance(run, NotStarted):
        return Rejected("run-not-found", "There is no run with this id.", missing=True)
    return Rejected("run-not-stuck", f"Only a stuck run can be resumed: this run is {run.status}.")


# Commands


def _apply(decision: DecisionBuilder[F], command: SagaCommand) -> None:
    run, vocabulary = decision.run, decision.saga.vocabulary
    match command:
        case Start(facts=facts):
            if isinstance(run, NotStarted):
                decision.emit(facts.model_copy(update={"table_version": decision.saga.version}))
        case HandleReply(reply=reply, amendment=amendment):
            if amendment is not None and _is_missed(run, amendment):
                decision.emit(amendment)
            _reply_received(decision, reply)
        case HandleTimer(timer=timer):
            _timer_fired(decision, timer)
        case Cancel(reason=reason):
            if _is_cancellable(run):
                decision.emit(
                    vocabulary.compensating(
                        saga_id=decision.saga_id, cause="cancelled", error_code="cancelled", error=reason
                    )
                )
        case Close(step=step):
            if _can_close(run, step):
                decision.emit(vocabulary.closed(saga_id=decision.saga_id))
        case Amend(amendment=amendment):
            if _is_news(run, amendment):
                decision.emit(amendment)
        case Resume(by=by):
            decision.emit(vocabulary.resumed(saga_id=decision.saga_id, by=by))
        case RetryOverdue():
            timer = None if isinstance(run, NotStarted) else run.progress.timer
            decision.deadline_fired = timer is not None and timer.due_at <= decision.at
            emit_timeouts(decision, decision.at)
            retry_overdue(decision)
        case _:
            assert_never(command)


def _is_cancellable(run: Run) -> bool:
    if isinstance(run, NotStarted):
        return run.cancelled is None
    return isinstance(run, Running | Completed) and not run.progress.closed


def _can_close(run: Run, step: str) -> bool:
    if isinstance(run, Compensating | Stuck):
        return run.progress.step(step).needs_undo
    return isinstance(run, Running | Completed) and not run.progress.closed


def _is_news(run: Run, amendment: messages.RunAmended) -> bool:
    match run:
        case NotStarted(amendments=amendments):
            return amendment not in amendments
        case Running(progress=progress) | Completed(progress=progress):
            return bool(newer(progress, amendment))
        case _:
            return False


def _is_missed(run: Run, amendment: messages.RunAmended) -> bool:
    """Whether facts changed since the run last heard of them; if not, the amendment repeats what the run knows."""
    return isinstance(run, Running) and amendment.facts_version > facts_version(run.progress) + 1


def _reply_received(decision: DecisionBuilder[F], reply: messages.StepReply) -> None:
    run = decision.run
    step = decision.saga.by_name.get(reply.step)
    if step is None or isinstance(run, NotStarted):
        return
    current = run.progress.step(reply.step)
    if reply.success:
        news = _is_new_undo(run, current, reply) if reply.undo else _is_new_success(run, current, reply)
        if news:
            decision.emit(_success(decision, reply))
        return
    state = awaited(run, current, reply.undo)
    if reply.revokes:
        if reply.undo and current.undo_base < reply.attempt <= current.undoing.attempt:
            decision.emit(_failure(decision, reply))
    elif isinstance(state, Requested) and state.attempt == reply.attempt:
        if reply.answer_by is None:
            _failed(decision, step, current, reply)
        elif state.answer_by is None or state.answer_by < reply.answer_by:
            _pending(decision, reply, reply.answer_by)


def _pending(decision: DecisionBuilder[F], reply: messages.StepReply, answer_by: datetime) -> None:
    decision.emit(decision.saga.vocabulary.pending(**reply_to(reply), answer_by=answer_by))


def _is_new_success(run: Run, step: StepRun, reply: messages.StepReply) -> bool:
    if isinstance(run, Running | Completed):
        return step.was_requested and not isinstance(step.doing, Succeeded)
    return step.was_requested and reply.attempt not in step.successes


def _is_new_undo(run: Run, step: StepRun, reply: messages.StepReply) -> bool:
    is_undoing = isinstance(run, Compensating | Stuck) and not isinstance(step.undoing, NotRequested | Succeeded)
    return is_undoing and step.undo_base < reply.attempt <= step.undoing.attempt


_REPLY_FIELDS = frozenset(messages.StepReply.model_fields)


def _success(decision: DecisionBuilder[F], reply: messages.StepReply) -> messages.StepSucceeded:
    data: dict[str, JsonValue] = {}
    run = decision.run
    facts = set[str]() if isinstance(run, NotStarted) else type(run.progress.facts).model_fields.keys()
    for name in type(reply).model_fields:
        value = getattr(reply, name)
        # no lists: they can be long, and stand in the reply itself; no facts: they can be personal data
        if name not in _REPLY_FIELDS | facts and value is not None and not isinstance(value, tuple | list):
            data[name] = to_jsonable_python(value)
    return decision.saga.vocabulary.succeeded(**reply_to(reply), data=data)


def _failure(decision: DecisionBuilder[F], reply: messages.StepReply) -> messages.StepFailed:
    return decision.saga.vocabulary.failed(
        **reply_to(reply),
        transient=reply.transient,
        error_code=reply.error_code or "failed",
        error=reply.error or "no reason was given",
        revokes=reply.revokes,
    )


def _failed(decision: DecisionBuilder[F], step: Step[F], current: StepRun, reply: messages.StepReply) -> None:
    decision.emit(_failure(decision, reply))
    failures = reply.attempt - (current.undo_base if reply.undo else 0)
    if reply.transient and failures < _attempts_max(step, reply.undo):
        due_at = decision.at + step.delay(failures, decision.jitter)
        decision.request_timer(due_at, "retry", reply.step, reply.undo, reply.attempt + 1)


def _attempts_max(step: Step[F], undo: bool) -> int:
    return step.undo_attempts_max if undo else step.attempts_max


def _timer_fired(decision: DecisionBuilder[F], timer: messages.StepTimer) -> None:
    run = decision.run
    if isinstance(run, NotStarted):
        return
    if timer.kind == "retry":
        state = awaited(run, run.progress.step(timer.step), timer.undo)
        if isinstance(state, RetryScheduled) and state.attempt + 1 == timer.attempt:
            request_again(decision, timer.step, timer.undo)
        return
    is_set = run.progress.timer
    if is_set and (is_set.step, is_set.undo, is_set.attempt) == (timer.step, timer.undo, timer.attempt):
        decision.deadline_fired = True
        emit_timeouts(decision, max(decision.at, is_set.due_at))
