"""Whether a mail is still to be sent: each kind of mail goes out once per order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.contracts.notifications import CancellationSent, ConfirmationSent, MailFailed, OrderMailSent
from services.kit.decider import Command, Decider, Decision
from services.kit.message import Message

__all__ = ["MAIL", "Kind", "Record", "Sent", "Unsent", "identity"]

Kind = Literal["confirmation", "cancellation", "order_failed", "order_cancelled"]


@dataclass(frozen=True, slots=True)
class Unsent:
    """It has not gone out."""


@dataclass(frozen=True, slots=True)
class Sent:
    """It went out, or there was nobody to write to (`mailed` false)."""

    mailed: bool


Mail = Unsent | Sent


@dataclass(frozen=True, slots=True, kw_only=True)
class Record(Command):
    """What came of sending; `problem` is empty if it worked."""

    order_id: str
    kind: Kind
    step: str = ""
    attempt: int = 1
    undo: bool = False
    mailed: bool = False
    problem: str = ""
    transient: bool = False


def identity(kind: Kind, order_id: str) -> str:
    """One stream for each mail."""
    return f"{kind}-{order_id}"


def decide(command: Record, mail: Mail) -> Decision:
    """The answer; what went out before is answered again where somebody waits for an answer."""
    mailed = mail.mailed if isinstance(mail, Sent) else command.mailed
    reply = {"saga_id": command.order_id, "step": command.step, "undo": command.undo, "attempt": command.attempt}
    match command.kind:
        case "confirmation" | "cancellation" if command.problem and not isinstance(mail, Sent):
            wrong = {
                "success": False,
                "transient": command.transient,
                "error_code": "mail-failed",
                "error": command.problem,
            }
            return [MailFailed.model_validate({**reply, **wrong})]
        case "confirmation":
            return [ConfirmationSent.model_validate({**reply, "mailed": mailed})]
        case "cancellation":
            return [CancellationSent.model_validate({**reply, "mailed": mailed})]
        case "order_failed" | "order_cancelled" as template:
            if isinstance(mail, Sent):
                return []
            return [OrderMailSent(order_id=command.order_id, template=template, mailed=mailed)]


def evolve(mail: Mail, event: Message) -> Mail:
    """The mail after an event."""
    match event:
        case ConfirmationSent(mailed=mailed) | CancellationSent(mailed=mailed) | OrderMailSent(mailed=mailed):
            return Sent(mailed)
        case _:
            return mail


MAIL: Decider[Record, Mail] = Decider(
    "mail", Unsent(), decide, evolve, (ConfirmationSent, CancellationSent, MailFailed, OrderMailSent)
)
