"""What an account can be, and what can be wished of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.contracts.users import TokenNotice
from services.kit.domain.decider import Command

__all__ = [
    "Activate",
    "Active",
    "ChangePassword",
    "ChangePreferences",
    "ChangeProfile",
    "Delete",
    "Deleted",
    "Letter",
    "Nobody",
    "Pending",
    "Person",
    "Preferences",
    "Profile",
    "Register",
    "Reinstate",
    "RequestReset",
    "RequestVerification",
    "ResetPassword",
    "Suspend",
    "Suspended",
    "Tell",
    "User",
    "UserCommand",
]

# What a user can be


@dataclass(frozen=True, slots=True)
class Profile:
    """What users say of themselves."""

    name: str
    company: str | None = None
    role: str | None = None
    phone: str | None = None
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What users want to hear from us: tips and hints at all, and news."""

    notifications: bool = True
    newsletter: bool = False


@dataclass(frozen=True, slots=True)
class Person:
    """What is known of a user; `reset` is the open password reset, `password_change` the last one done."""

    email: str
    profile: Profile
    preferences: Preferences
    reset: TokenNotice | None = None
    password_change: str = ""
    told: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Nobody:
    """There is no such user."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Registered; the address is not verified."""

    person: Person
    verification: TokenNotice | None = None
    verifications: int = 0


@dataclass(frozen=True, slots=True)
class Active:
    """Can log in."""

    person: Person


@dataclass(frozen=True, slots=True)
class Suspended:
    """Cannot log in until reinstated."""

    person: Person


@dataclass(frozen=True, slots=True)
class Deleted:
    """Was here."""


User = Nobody | Pending | Active | Suspended | Deleted
Letter = Literal["welcome_tips", "follow_up"]

# What can be wished


@dataclass(frozen=True, slots=True, kw_only=True)
class UserWish(Command):
    """Something about one user."""

    user_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(UserWish):
    """Make an account; the address is verified by the token of `notice_id` until `expires_at`."""

    email: str
    profile: Profile
    newsletter: bool
    notice_id: str
    expires_at: datetime
    welcome_at: datetime
    follow_up_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestVerification(UserWish):
    """Mail another token."""

    notice_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Activate(UserWish):
    """Whoever asks has shown the token of `notice_id`."""

    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeProfile(UserWish):
    """Change the fields of the profile that are named."""

    changes: Mapping[str, str | int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePreferences(UserWish):
    """Change the preferences that are named."""

    changes: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePassword(UserWish):
    """Whoever asks has shown the current password."""

    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestReset(UserWish):
    """Mail a token by which the password can be set."""

    notice_id: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetPassword(UserWish):
    """Whoever asks has shown the token of the reset `reset_id`."""

    reset_id: str
    notice_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspend(UserWish):
    """Shut the account for now."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reinstate(UserWish):
    """Open a suspended account again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(UserWish):
    """Forget the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(UserWish):
    """It is time for a letter."""

    letter: Letter


UserCommand = (
    Register | RequestVerification | Activate | ChangeProfile | ChangePreferences | ChangePassword
    | RequestReset | ResetPassword | Suspend | Reinstate | Delete | Tell
)  # fmt: skip
