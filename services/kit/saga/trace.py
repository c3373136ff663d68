"""The commands and events of a run, each on one line of a trace."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from services.kit.domain.message import Message
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
)

__all__ = ["describe_command", "describe_event", "label"]


def label(about: messages.StepMessage) -> str:
    """The step, whether it is its undo, and which attempt: `undo ship #2`."""
    return f"{'undo ' if about.undo else ''}{about.step} #{about.attempt}"


def describe_command(command: SagaCommand) -> str:
    """A command to a run, on one line."""
    match command:
        case Start():
            return "start"
        case HandleReply(reply=reply):
            return f"reply: {label(reply)} {_outcome(reply)}"
        case HandleTimer(timer=timer):
            return f"timer: {timer.kind} of {label(timer)}"
        case Cancel(reason=reason):
            return f"cancel: {reason}"
        case Close(step=step):
            return f"close: {step} cannot be undone any more"
        case Amend():
            return "amend the facts"
        case Resume(by=by):
            return f"resume, by {by}"
        case RetryOverdue():
            return "retry what is overdue"
        case _:
            assert_never(command)


def _outcome(reply: messages.StepReply) -> str:
    if reply.success:
        return "succeeded"
    if reply.answer_by:
        return "has begun and needs longer"
    if reply.revokes:
        return f"did not last: {reply.error_code}"
    return (
        f"failed, another attempt may succeed: {reply.error_code}"
        if reply.transient
        else f"refused: {reply.error_code}"
    )


def describe_event(event: Message, when: Callable[[datetime], str]) -> str:
    """An event of a run, on one line; `when` renders an instant."""
    match event:
        case messages.StepRequest():
            return f"request   {label(event)}"
        case messages.StepSucceeded():
            return f"succeeded {label(event)}"
        case messages.StepPending(answer_by=answer_by):
            return f"pending   {label(event)} until {when(answer_by)}"
        case messages.StepFailed(revokes=True, error_code=code):
            return f"revoked   {label(event)}: {code}"
        case messages.StepFailed(transient=True, error_code=code):
            return f"failed    {label(event)}: {code}"
        case messages.StepFailed(error_code=code):
            return f"refused   {label(event)}: {code}"
        case messages.StepTimedOut():
            return f"timed out {label(event)}"
        case messages.TimerRequested(timer_id=timer_id, due_at=due_at, message=message):
            undo = "undo " if message.get("undo") else ""
            what = f"{message.get('kind')} of {undo}{message.get('step')} #{message.get('attempt')}"
            return f"timer     {timer_id} set for {when(due_at)}: {what}"
        case messages.TimerCancelled(timer_id=timer_id):
            return f"timer     {timer_id} cancelled"
        case _:
            return _status(event)


def _status(event: Message) -> str:
    match event:
        case messages.RunStarted():
            return "RUN STARTED"
        case messages.RunAmended():
            return "facts amended"
        case messages.RunCompleted():
            return "RUN COMPLETED"
        case messages.RunCompensating(error_code=code, error=error):
            return f"RUN COMPENSATING  {code}: {error}"
        case messages.RunCompensated(cause=cause, error_code=code):
            return f"RUN COMPENSATED  {cause}: {code}"
        case messages.RunFailed(error_code=code, error=error):
            return f"RUN FAILED  {code}: {error}"
        case messages.RunStuck(step=step, error_code=code):
            return f"RUN STUCK  undo {step}: {code}"
        case messages.RunClosed():
            return "RUN CLOSED"
        case messages.RunResumed(by=by):
            return f"RUN RESUMED  by {by}"
        case _:
            return type(event).__name__
