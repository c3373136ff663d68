"""Whether a mail is still to be sent: each kind goes out once per order, or once for each notice to a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.contracts.notifications import CancellationSent, ConfirmationSent, MailFailed, OrderMailSent, UserMailSent
from services.kit.domain.decider import Command, Decider, Decision
from services.kit.domain.message import Message

__all__ = [
    "MAIL",
    "NOTICE",
    "Kind",
    "Record",
    "RecordNotice",
    "Sent",
    "Template",
    "Unsent",
    "identity",
    "notice_identity",
]

Kind = Literal["confirmation", "cancellation", "order_failed", "order_cancelled"]
Template = Literal["verification", "activated", "welcome_tips", "follow_up", "password_reset", "password_changed"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordNotice(Command):
    """What came of sending a mail about an account."""

    user_id: str
    template: Template
    notice_id: str
    mailed: bool


def notice_identity(template: Template, user_id: str, notice_id: str) -> str:
    """One stream for each notice."""
    return f"{template}-{user_id}-{notice_id}"


def decide_notice(command: RecordNotice, mail: Mail) -> Decision:
    """What went out before needs no second record."""
    if isinstance(mail, Sent):
        return []
    return [
        UserMailSent(
            user_id=command.user_id, template=command.template, notice_id=command.notice_id, mailed=command.mailed
        )
    ]


def evolve_notice(mail: Mail, event: Message) -> Mail:
    """The notice after an event."""
    return Sent(event.mailed) if isinstance(event, UserMailSent) else mail


NOTICE: Decider[RecordNotice, Mail] = Decider("notice", Unsent(), decide_notice, evolve_notice, (UserMailSent,))
