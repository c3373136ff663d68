"""The commands to a run of a saga."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from services.kit.domain.decider import Command
from services.kit.saga import messages

__all__ = [
    "Amend",
    "Cancel",
    "Close",
    "HandleReply",
    "HandleTimer",
    "Resume",
    "RetryOverdue",
    "SagaCommand",
    "Start",
    "saga_id_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _RunCommand(Command):
    """`jitter` is a random number in [0, 1) that spreads the delays of retries.

    `covered_until` is the time at which a timer that is requested already has every open run look for passed deadlines
    (`RetryOverdue`). The run requests no timer for a deadline at that time or later.
    """

    jitter: float
    covered_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(_RunCommand):
    """Start the run with these facts."""

    facts: messages.RunStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleReply(_RunCommand):
    """Handle the reply of a participant; `amendment` has facts that came with the reply."""

    reply: messages.StepReply
    amendment: messages.RunAmended | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleTimer(_RunCommand):
    """Handle a timer that the run requested and that is due."""

    timer: messages.StepTimer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(_RunCommand):
    """Undo everything. The command may arrive before the start."""

    saga_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(_RunCommand):
    """Ignore cancellations: the step `step` cannot be undone any more.

    A run that is undoing its steps, or is stuck, goes forwards again if it has not undone this step. Then it has undone
    no earlier step either.
    """

    saga_id: str
    step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(_RunCommand):
    """Change facts of the run. The command may arrive before the start, and changes in any order."""

    amendment: messages.RunAmended


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(_RunCommand):
    """Resume a stuck run, once an operator has looked at it."""

    saga_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOverdue(_RunCommand):
    """Send overdue requests again, without waiting for their timer, and request the timer that the run then needs."""

    saga_id: str


SagaCommand = Start | HandleReply | HandleTimer | Cancel | Close | Amend | Resume | RetryOverdue


def saga_id_of(command: SagaCommand) -> str:
    """The id of the run that a command is for."""
    match command:
        case Start(facts=about) | HandleReply(reply=about) | HandleTimer(timer=about) | Amend(amendment=about):
            return about.saga_id
        case Cancel(saga_id=saga_id) | Close(saga_id=saga_id) | Resume(saga_id=saga_id) | RetryOverdue(saga_id=saga_id):
            return saga_id
        case _:
            assert_never(command)
