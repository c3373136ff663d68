"""Handlers that send mails to users about their accounts and record that they were sent.

The token in a mail is derived from the event and a key when the mail is sent, and stored nowhere
(docs/decisions/0007-mail-tokens.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC

from services.contracts.users import (
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    StaffInvited,
    TokenNotice,
    UserActivated,
    UserNotice,
    VerificationRequested,
    WelcomeTipsSend,
)
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.domain.message import ERASED
from services.kit.events.handlers import Received
from services.kit.privacy.hmac_tokens import derive, several
from services.notifications.domain import USER_MAIL, RecordUserMail, Unsent, UserMailKind, user_mail_id
from services.notifications.mails import Mail, Shop
from services.notifications.sending import is_accepted
from services.notifications.smtp import MailServer

__all__ = ["KINDS", "UserMails"]

KINDS: Mapping[type[UserNotice], UserMailKind] = {
    VerificationRequested: "verification",
    UserActivated: "activated",
    WelcomeTipsSend: "welcome_tips",
    FollowUpSend: "follow_up",
    PasswordResetRequested: "password_reset",
    PasswordChanged: "password_changed",
    StaffInvited: "staff_invitation",
}
TO_PROVEN_ADDRESSES: frozenset[UserMailKind] = frozenset({"activated", "follow_up", "password_changed"})
"""Mails that may show the user's name. A stranger can type somebody else's address, and must not send text to it."""


class UserMails:
    """Sends the mails to users; the first of the keys makes the tokens."""

    def __init__(self, handler: CommandHandler, server: MailServer, shop: Shop, mail_token_keys: Secret) -> None:
        self._handler = handler
        self._server = server
        self._shop = shop
        self._mail_token_keys = mail_token_keys

    async def send(self, notice: UserNotice, received: Received) -> None:
        """Send the mail of a notice once; Unavailable if it may succeed later."""
        kind = KINDS[type(notice)]
        identity = user_mail_id(kind, notice.user_id, notice.notice_id)
        if not isinstance((await self._handler.reload(USER_MAIL, identity)).state, Unsent):
            return
        too_late = received.expired or (isinstance(notice, TokenNotice) and notice.expires_at <= received.now)
        is_wanted = not too_late and notice.email != ERASED and kind not in self._shop.mails_off
        mailed = is_wanted and await is_accepted(self._mail(notice), self._server, self._shop)
        command = RecordUserMail(
            at=received.now, user_id=notice.user_id, kind=kind, notice_id=notice.notice_id, mailed=mailed
        )
        await self._handler.handle(USER_MAIL, identity, command, received.cause)

    def _mail(self, notice: UserNotice) -> Mail:
        kind = KINDS[type(notice)]
        return Mail(
            kind=kind,
            identity=f"{notice.user_id}.{notice.notice_id}",
            about=("X-Zerocart-User", notice.user_id),
            person=notice.user_id,
            to=notice.email,
            values={
                "user_id": notice.user_id,
                **({"name": notice.name} if kind in TO_PROVEN_ADDRESSES else {}),
                **(self._token(notice) if isinstance(notice, TokenNotice) else {}),
            },
        )

    def _token(self, notice: TokenNotice) -> dict[str, object]:
        token = derive(several(self._mail_token_keys())[0], notice.type, notice.user_id, notice.notice_id)
        whole = f"{notice.user_id}.{token}" if isinstance(notice, PasswordResetRequested | StaffInvited) else token
        return {"token": whole, "until": notice.expires_at.astimezone(UTC)}
