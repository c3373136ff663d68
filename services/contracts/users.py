"""The events of users: the life of an account and the mails to its user. No event has a password, a hash or a token."""

from typing import ClassVar, Literal

from services.kit.domain.message import REQUEST_EXPIRES_AFTER, Instant, Message, Personal, Value

__all__ = [
    "CLIENT_PREFIX",
    "GUEST_PREFIX",
    "ClientCreated",
    "ClientExpired",
    "ClientExpiryDue",
    "ClientMessage",
    "ClientRevoked",
    "ClientSecretRotated",
    "FollowUpDue",
    "FollowUpSend",
    "PasswordChanged",
    "PasswordResetRequested",
    "PersonErased",
    "PreferenceFields",
    "PreferencesChanged",
    "ProfileChanged",
    "ProfileFields",
    "StaffInvited",
    "StaffRole",
    "StaffRoleChanged",
    "TokenNotice",
    "TokensRevoked",
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

StaffRole = Literal["viewer", "fulfilment", "support", "manager", "admin"]


CLIENT_PREFIX = "cli_"
"""How the ids of other programs begin."""
GUEST_PREFIX = "gst_"
"""Begins the ids of guests: people without an account who got a token for one visit."""


class UserMessage(Message):
    """An event of one user."""

    key: ClassVar[str] = "user_id"
    person_in: ClassVar[tuple[str, ...]] = ("user_id",)
    user_id: str


class UserNotice(UserMessage):
    """An event about which notifications mails the user, once for each `notice_id`."""

    email: Personal[str]
    name: Personal[str]
    notice_id: str


class TokenNotice(UserNotice):
    """A notice whose mail has a token that is valid until `expires_at`, derived from `notice_id` and a secret key."""

    requested_at: Instant
    expires_at: Instant


class ProfileFields(Value):
    """The profile that a user wrote; `role` is a profession and grants nothing."""

    name: Personal[str]
    company: Personal[str] | None = None
    role: Personal[str] | None = None
    phone: Personal[str] | None = None
    age: Personal[int] | None = None


class UserRegistered(ProfileFields, UserMessage):
    """Somebody registered; the e-mail address is not verified yet."""

    type: ClassVar[str] = "zerocart.users.user.registered.v1"
    email: Personal[str]
    newsletter: bool = False


class VerificationRequested(TokenNotice):
    """Notifications shall mail a token that verifies the address; earlier tokens are no longer valid."""

    type: ClassVar[str] = "zerocart.users.user.verification_requested.v1"


class UserActivated(UserNotice):
    """The address is verified and the account can be used."""

    type: ClassVar[str] = "zerocart.users.user.activated.v1"


class ProfileChanged(ProfileFields, UserMessage):
    """The user replaced the whole profile."""

    type: ClassVar[str] = "zerocart.users.user.profile_changed.v1"


class PreferenceFields(Value):
    """The mails that a user accepts: `notifications` for any tips at all, `newsletter` for news."""

    notifications: bool
    newsletter: bool


class PreferencesChanged(PreferenceFields, UserMessage):
    """The user replaced all preferences about mails."""

    type: ClassVar[str] = "zerocart.users.user.preferences_changed.v1"


class PasswordChanged(UserNotice):
    """The password changed and every session ended."""

    type: ClassVar[str] = "zerocart.users.user.password_changed.v1"


class PasswordResetRequested(TokenNotice):
    """Notifications shall mail a token with which the user can set a new password."""

    type: ClassVar[str] = "zerocart.users.user.password_reset_requested.v1"


class StaffInvited(TokenNotice):
    """Somebody may join the staff in this role: the mailed token accepts it, together with a new password."""

    type: ClassVar[str] = "zerocart.users.staff.invited.v1"
    role: StaffRole


class StaffRoleChanged(UserMessage):
    """The user has this role among the staff from now on; without a role the user does not belong to it."""

    type: ClassVar[str] = "zerocart.users.staff.role_changed.v1"
    role: StaffRole | None = None


class UserSuspended(UserMessage):
    """Staff suspended the account; it cannot be used until it is reinstated."""

    type: ClassVar[str] = "zerocart.users.user.suspended.v1"
    reason: str


class UserReinstated(UserMessage):
    """Staff reinstated the account; it can be used again."""

    type: ClassVar[str] = "zerocart.users.user.reinstated.v1"


class UserDeleted(UserMessage):
    """The account was deleted: every service erases the personal data of its user."""

    type: ClassVar[str] = "zerocart.users.user.deleted.v1"


class PersonErased(Message):
    """Services erase the personal data of a person without an account: a customer, or a guest by the order's id."""

    type: ClassVar[str] = "zerocart.users.person.erased.v1"
    key: ClassVar[str] = "person_id"
    person_id: str


class TokensRevoked(Message):
    """The access tokens that a user or a program got before `issued_before` are void."""

    type: ClassVar[str] = "zerocart.users.tokens.revoked.v1"
    key: ClassVar[str] = "subject"
    subject: str
    issued_before: Instant


class ClientMessage(Message):
    """An event of one API client: another program that calls zerocart."""

    key: ClassVar[str] = "client_id"
    client_id: str


class ClientCreated(ClientMessage):
    """A program may get tokens with these scopes, until `expires_at`."""

    type: ClassVar[str] = "zerocart.users.client.created.v1"
    name: str
    scopes: tuple[str, ...]
    expires_at: Instant | None = None


class ClientSecretRotated(ClientMessage):
    """The program has a new secret; the previous one is valid until then."""

    type: ClassVar[str] = "zerocart.users.client.secret_rotated.v1"
    previous_until: Instant


class ClientRevoked(ClientMessage):
    """The program gets no token any more, and its tokens are void."""

    type: ClassVar[str] = "zerocart.users.client.revoked.v1"


class ClientExpired(ClientMessage):
    """The time of the program is over: it gets no token any more."""

    type: ClassVar[str] = "zerocart.users.client.expired.v1"


class ClientExpiryDue(ClientMessage):
    """The scheduler publishes this when the client expires."""

    type: ClassVar[str] = "zerocart.users.client.expiry_due.v1"


class WelcomeDue(UserMessage):
    """The scheduler publishes this when the welcome tips are due."""

    type: ClassVar[str] = "zerocart.users.onboarding.welcome_due.v1"


class FollowUpDue(UserMessage):
    """The scheduler publishes this when the follow-up mail is due."""

    type: ClassVar[str] = "zerocart.users.onboarding.follow_up_due.v1"


class WelcomeTipsSend(UserNotice):
    """Request to mail the welcome tips."""

    type: ClassVar[str] = "zerocart.users.onboarding.welcome_tips_send.v1"
    expires_after = REQUEST_EXPIRES_AFTER


class FollowUpSend(UserNotice):
    """Request to send the follow-up mail."""

    type: ClassVar[str] = "zerocart.users.onboarding.follow_up_send.v1"
    expires_after = REQUEST_EXPIRES_AFTER
