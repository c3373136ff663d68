"""The answers of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.kit.rest.answers import Count

__all__ = [
    "KeySet",
    "MailRequested",
    "Preferences",
    "PreferencesNow",
    "Status",
    "Token",
    "User",
    "UserAndStatus",
    "UserNow",
    "VerificationRequested",
]  # fmt: skip

Status = Literal["pending_verification", "active", "suspended"]


class UserAndStatus(TypedDict):
    """The status of the account."""

    id: Annotated[str, Field(examples=["usr_01jd8xk3v5e6s7t8w9x0y1z2a3"])]
    status: Status


class Preferences(TypedDict):
    """The mails that the user wants."""

    notifications: bool
    """Mails about orders."""
    newsletter: bool


class User(UserAndStatus):
    """The account."""

    email: Annotated[str, Field(examples=["ann@example.com"])]
    name: str
    company: str | None
    role: str | None
    phone: str | None
    age: Count | None
    preferences: Preferences


class UserNow(User):
    """The account after the command."""


class PreferencesNow(Preferences):
    """The preferences after the command."""


class VerificationRequested(UserAndStatus):
    """A mail with a new token is on its way."""


class MailRequested(TypedDict):
    """If the address has an account, a mail with a token is on its way."""


class Token(TypedDict):
    """The access token (RFC 6749, section 5.1)."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: Annotated[Count, Field(examples=[900])]
    """Seconds."""
    scope: Annotated[str, Field(examples=["orders:read orders:write"])]
    refresh_token: NotRequired[str]
    """For users: it buys the next access token, once."""


class KeySet(TypedDict):
    """The public keys (RFC 7517)."""

    keys: list[Mapping[str, str]]
