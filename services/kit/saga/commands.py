"""What a run of a saga can be told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from services.kit.domain.decider import Command
from services.kit.saga import messages

__all__ = ["Amend", "Answer", "Cancel", "Nudge", "Resume", "SagaCommand", "Start", "TimerFired", "saga_id_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told(Command):
    """`jitter` is a chance in [0, 1) for the delay of a retry."""

    jitter: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(_Told):
    """Begin, with these facts."""

    facts: messages.RunStarted


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(_Told):
    """A step's receiver answered."""

    reply: messages.StepReply


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerFired(_Told):
    """A timer that the run asked for fired."""

    timer: messages.StepTimer


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(_Told):
    """Undo everything; may overtake the start."""

    saga_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(_Told):
    """Facts changed; may overtake the start and other changes."""

    amendment: messages.RunAmended


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(_Told):
    """Somebody looked at a stuck run."""

    saga_id: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge(_Told):
    """Ask again for whatever is overdue, whether or not its timer ever fires."""

    saga_id: str


SagaCommand = Start | Answer | TimerFired | Cancel | Amend | Resume | Nudge


def saga_id_of(command: SagaCommand) -> str:
    """The run that a command is for."""
    match command:
        case Start(facts=about) | Answer(reply=about) | TimerFired(timer=about) | Amend(amendment=about):
            return about.saga_id
        case Cancel(saga_id=saga_id) | Resume(saga_id=saga_id) | Nudge(saga_id=saga_id):
            return saga_id
        case _:
            assert_never(command)
