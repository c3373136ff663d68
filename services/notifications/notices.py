"""Mails to users about their accounts: what they say, and that each goes out once.

A token is made here, from the notice and a key, in the moment in which it is mailed: it is kept nowhere
(docs/decisions/0007-mail-tokens.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from string import Template as Text

from services.contracts.users import (
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    TokenNotice,
    UserActivated,
    UserNotice,
    VerificationRequested,
    WelcomeTipsSend,
)
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import ERASED
from services.kit.events.handlers import Reactions, Received
from services.kit.privacy.hmac_tokens import derive, several
from services.kit.telemetry.metrics import METRICS
from services.notifications.domain import NOTICE, RecordNotice, Template, Unsent, notice_identity
from services.notifications.mails import PERSON_HEADER
from services.notifications.smtp import MailServer, NotSent

__all__ = ["NoticeWriter", "hear_notices"]


@dataclass(frozen=True, slots=True)
class Wording:
    """A mail before the names are put in; `$token`, `$until`, `$name` and `$user_id` stand for what they say."""

    subject: str
    paragraphs: Sequence[str]


TEMPLATES: Mapping[type[UserNotice], Template] = {
    VerificationRequested: "verification",
    UserActivated: "activated",
    WelcomeTipsSend: "welcome_tips",
    FollowUpSend: "follow_up",
    PasswordResetRequested: "password_reset",
    PasswordChanged: "password_changed",
}
TO_PROVEN_ADDRESSES: frozenset[Template] = frozenset({"activated", "follow_up", "password_changed"})
"""The others may reach somebody whose address was typed in by a stranger: no word of the stranger's goes with them."""
WORDINGS: Mapping[Template, Wording] = {
    "verification": Wording(
        "Welcome: please confirm your address",
        (
            "Welcome to zerocart. Your account $user_id waits for you to confirm that this address is yours.",
            "The code for it is",
            "$token",
            "It can be used once, until $until. If you did not make this account, leave this mail alone: without"
            " the code nobody can use it.",
        ),
    ),
    "activated": Wording(
        "Your account is ready",
        ("Thank you, your address is confirmed. You can log in with it and the password that you chose.",),
    ),
    "welcome_tips": Wording(
        "Three tips for the start",
        (
            "An order can be written as a draft first: nothing is reserved or charged until you submit it.",
            "Address and notes of an order can be changed until its parcel is made.",
            "Every order shows its whole history, and can be cancelled until the carrier has it.",
        ),
    ),
    "follow_up": Wording(
        "How is it going?",
        (
            "You have been here for a few days. If something is not as you hoped, answer this mail.",
            "You get this because you asked for our newsletter; in your preferences you can change that.",
        ),
    ),
    "password_reset": Wording(
        "Setting a new password",
        (
            "Somebody, probably you, asked to set a new password for this address. The code for it is",
            "$token",
            "It can be used once, until $until. If it was not you, leave this mail alone: your password stays.",
        ),
    ),
    "password_changed": Wording(
        "Your password was changed",
        (
            "The password of your account was changed a moment ago, and every device has to log in again.",
            "If it was not you, ask for a password reset at once.",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class NoticeWriter:
    """Writes the mails; the first of the keys makes the tokens."""

    sender: str
    mail_token_keys: Secret

    def compose(self, notice: UserNotice) -> EmailMessage:
        """The mail; its Message-ID follows from the notice, so that a repeat can be recognised (RFC 5322 3.6.4)."""
        template = TEMPLATES[type(notice)]
        wording = WORDINGS[template]
        names = {"user_id": notice.user_id, **self._token(notice)}
        greeting = f"Dear {notice.name}," if template in TO_PROVEN_ADDRESSES else "Hello,"
        paragraphs = [greeting, *(Text(each).substitute(names) for each in wording.paragraphs)]
        mail = EmailMessage()
        mail["From"] = self.sender
        mail["To"] = notice.email
        mail["Subject"] = wording.subject
        mail["Message-ID"] = f"<{template}.{notice.user_id}.{notice.notice_id}@{self.sender.rpartition('@')[2]}>"
        mail["X-Zerocart-User"] = notice.user_id
        mail[PERSON_HEADER] = notice.user_id
        mail.set_content("\n\n".join(paragraphs) + "\n")
        mail.add_alternative(_html(paragraphs), subtype="html")
        return mail

    def _token(self, notice: UserNotice) -> Mapping[str, str]:
        if not isinstance(notice, TokenNotice):
            return {}
        token = derive(several(self.mail_token_keys())[0], notice.type, notice.user_id, notice.notice_id)
        whole = f"{notice.user_id}.{token}" if isinstance(notice, PasswordResetRequested) else token
        return {"token": whole, "until": f"{notice.expires_at:%d %B %Y, %H:%M} UTC"}


def _html(paragraphs: Sequence[str]) -> str:
    body = "".join(f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs)
    return f"<!doctype html><html lang=en><body>{body}</body></html>"


def hear_notices(hears: Reactions, handler: CommandHandler, server: MailServer, writer: NoticeWriter) -> None:
    """Handle every kind of notice: send it, and record that it went out."""

    async def tell(notice: UserNotice, heard: Received) -> None:
        template = TEMPLATES[type(notice)]
        identity = notice_identity(template, notice.user_id, notice.notice_id)
        if not isinstance((await handler.reload(NOTICE, identity)).state, Unsent):
            return
        too_late = heard.expired or (isinstance(notice, TokenNotice) and notice.expires_at <= heard.now)
        erased = notice.email == ERASED  # there is nobody left to tell
        mailed = not too_late and not erased and await send(template, notice)
        command = RecordNotice(
            at=heard.now, user_id=notice.user_id, template=template, notice_id=notice.notice_id, mailed=mailed
        )
        await handler.handle(NOTICE, identity, command, heard.cause)

    async def send(template: Template, notice: UserNotice) -> bool:
        try:
            await server.send(writer.compose(notice))
        except NotSent as error:
            if error.transient:
                raise Unavailable("mail-failed", str(error)) from error
            return False
        METRICS.count("mails_sent", kind=template)
        return True

    for kind in TEMPLATES:
        hears.on(kind, tell)
