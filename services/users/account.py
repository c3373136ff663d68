"""The states of an account, and the commands on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.contracts.users import PreferenceFields, ProfileFields, StaffInvited, StaffRole, TokenNotice
from services.kit.domain.decider import Command

__all__ = [
    "Activate",
    "Active",
    "ChangePassword",
    "ChangePreferences",
    "ChangeProfile",
    "ChangeRole",
    "Delete",
    "Deleted",
    "InviteStaff",
    "NoUser",
    "Pending",
    "Person",
    "Register",
    "Reinstate",
    "RequestReset",
    "RequestVerification",
    "ResetPassword",
    "ScheduledMail",
    "SendScheduledMail",
    "Suspend",
    "Suspended",
    "TokenRequest",
    "User",
    "UserCommand",
    "UserRequest",
]

# States


@dataclass(frozen=True, slots=True)
class Person:
    """The data of a user; `reset` is the open password reset, `password_change` the id of the last change.

    `staff_role` is the role among the staff, `invitation` the open invitation to one.
    """

    email: str
    profile: ProfileFields
    preferences: PreferenceFields
    reset: TokenNotice | None = None
    password_change: str = ""
    mailed: frozenset[str] = frozenset()
    staff_role: StaffRole | None = None
    invitation: StaffInvited | None = None


@dataclass(frozen=True, slots=True)
class NoUser:
    """The user does not exist."""


@dataclass(frozen=True, slots=True)
class Pending:
    """The user is registered; the e-mail address is not verified."""

    person: Person
    verification: TokenNotice | None = None
    verifications: int = 0


@dataclass(frozen=True, slots=True)
class Active:
    """The user can log in."""

    person: Person


@dataclass(frozen=True, slots=True)
class Suspended:
    """The user cannot log in until an operator reinstates the account."""

    person: Person


@dataclass(frozen=True, slots=True)
class Deleted:
    """The account was deleted and the user's personal data erased."""


User = NoUser | Pending | Active | Suspended | Deleted
ScheduledMail = Literal["welcome_tips", "follow_up"]

# Commands


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRequest(Command):
    """A command on one user."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRequest(UserRequest):
    """A command that mails a token, derived from `notice_id` and valid until `expires_at`."""

    notice_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(TokenRequest):
    """Make an account; the token verifies its address."""

    email: str
    profile: ProfileFields
    newsletter: bool
    welcome_at: datetime
    follow_up_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteStaff(TokenRequest):
    """Mail an invitation to join the staff, and make an account if there is none."""

    email: str
    name: str
    role: StaffRole


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRole(UserRequest):
    """Give somebody of the staff another role, or none."""

    role: StaffRole | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestVerification(TokenRequest):
    """Mail another verification token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(UserRequest):
    """Activate the account; the token of `notice_id` has been checked."""

    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProfile(UserRequest):
    """Change the named fields of the profile."""

    changes: Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePreferences(UserRequest):
    """Change the named preferences."""

    changes: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword(UserRequest):
    """Change the password; the current one has been checked."""

    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReset(TokenRequest):
    """Mail a token for a password reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPassword(UserRequest):
    """Set the password; the token of the reset `reset_id` has been checked."""

    reset_id: str
    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend(UserRequest):
    """Suspend the account."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstate(UserRequest):
    """Activate a suspended account again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(UserRequest):
    """Delete the account and erase the user's personal data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendScheduledMail(UserRequest):
    """A mail that was scheduled at the registration is due."""

    mail: ScheduledMail


UserCommand = (
    Register | RequestVerification | Activate | ChangeProfile | ChangePreferences | ChangePassword
    | RequestReset | ResetPassword | InviteStaff | ChangeRole | Suspend | Reinstate | Delete | SendScheduledMail
)  # fmt: skip
