"""What users says: an account's life, and whom to write to about it. Never a password, a hash or a token."""

from __future__ import annotations

from typing import ClassVar

from services.kit.domain.message import REQUEST_EXPIRES_AFTER, Instant, Message, Personal

__all__ = [
    "FollowUpDue",
    "FollowUpSend",
    "PasswordChanged",
    "PasswordResetRequested",
    "PersonErased",
    "PreferencesChanged",
    "ProfileChanged",
    "TokenNotice",
    "UserActivated",
    "UserDeleted",
    "UserMessage",
    "UserNotice",
    "UserRegistered",
    "UserReinstated",
    "UserSuspended",
    "VerificationRequested",
    "WelcomeDue",
    "WelcomeTipsSend",
]


class UserMessage(Message):
    """Anything said about one user."""

    key: ClassVar[str] = "user_id"
    person_in: ClassVar[tuple[str, ...]] = ("user_id",)
    user_id: str


class UserNotice(UserMessage):
    """Something that the user is to be told by mail; one mail for each `notice_id`."""

    email: Personal[str]
    name: Personal[str]
    notice_id: str


class TokenNotice(UserNotice):
    """A notice whose mail carries a token until `expires_at`; the token follows from `notice_id` and a secret key."""

    requested_at: Instant
    expires_at: Instant


class ProfileContent(UserMessage):
    """What a user says of themselves; `role` is what they do for a living, and gives no right here."""

    name: Personal[str]
    company: Personal[str] | None = None
    role: Personal[str] | None = None
    phone: Personal[str] | None = None
    age: Personal[int] | None = None


class UserRegistered(ProfileContent):
    """Somebody made an account; nobody has shown yet that the address is theirs."""

    type: ClassVar[str] = "zerocart.users.user.registered.v1"
    email: Personal[str]
    newsletter: bool = False


class VerificationRequested(TokenNotice):
    """The address is to be verified by a mailed token; an earlier token no longer holds."""

    type: ClassVar[str] = "zerocart.users.user.verification_requested.v1"


class UserActivated(UserNotice):
    """The address is theirs: the account can be used."""

    type: ClassVar[str] = "zerocart.users.user.activated.v1"


class ProfileChanged(ProfileContent):
    """The profile is this now, as a whole."""

    type: ClassVar[str] = "zerocart.users.user.profile_changed.v1"


class PreferencesChanged(UserMessage):
    """What the user wants to hear from us is this now, as a whole."""

    type: ClassVar[str] = "zerocart.users.user.preferences_changed.v1"
    notifications: bool
    newsletter: bool


class PasswordChanged(UserNotice):
    """There is a new password, and every session began anew."""

    type: ClassVar[str] = "zerocart.users.user.password_changed.v1"


class PasswordResetRequested(TokenNotice):
    """Somebody who has the mailbox may set a new password by the mailed token."""

    type: ClassVar[str] = "zerocart.users.user.password_reset_requested.v1"


class UserSuspended(UserMessage):
    """The account cannot be used until further notice."""

    type: ClassVar[str] = "zerocart.users.user.suspended.v1"
    reason: str


class UserReinstated(UserMessage):
    """The account can be used again."""

    type: ClassVar[str] = "zerocart.users.user.reinstated.v1"


class UserDeleted(UserMessage):
    """The user is gone: whoever holds something about the person is to erase it."""

    type: ClassVar[str] = "zerocart.users.user.deleted.v1"


class PersonErased(Message):
    """Somebody without an account is to be forgotten: a customer by their id, a guest by the id of the order."""

    type: ClassVar[str] = "zerocart.users.person.erased.v1"
    key: ClassVar[str] = "person_id"
    person_id: str


class WelcomeDue(UserMessage):
    """It is time for the welcome tips; said by the scheduler."""

    type: ClassVar[str] = "zerocart.users.onboarding.welcome_due.v1"


class FollowUpDue(UserMessage):
    """It is time for the follow-up; said by the scheduler."""

    type: ClassVar[str] = "zerocart.users.onboarding.follow_up_due.v1"


class WelcomeTipsSend(UserNotice):
    """Send the welcome tips."""

    type: ClassVar[str] = "zerocart.users.onboarding.welcome_tips_send.v1"
    expires_after = REQUEST_EXPIRES_AFTER


class FollowUpSend(UserNotice):
    """Send the follow-up."""

    type: ClassVar[str] = "zerocart.users.onboarding.follow_up_send.v1"
    expires_after = REQUEST_EXPIRES_AFTER
