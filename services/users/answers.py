"""The answers of users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from services.contracts.users import StaffRole
from services.kit.rest.answers import Count

__all__ = [
    "ApiClient",
    "ApiClientList",
    "ApiClientSecret",
    "KeySet",
    "MailRequested",
    "Preferences",
    "PreferencesNow",
    "StaffList",
    "StaffMember",
    "StaffMemberNow",
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


class StaffMember(UserAndStatus):
    """Somebody of the staff, or somebody who is invited."""

    email: Annotated[str, Field(examples=["ann@example.com"])]
    name: str
    role: StaffRole | None
    """None until the invitation is accepted."""
    invited_as: StaffRole | None
    """The role of an open invitation."""


class StaffMemberNow(StaffMember):
    """The person after the command."""


class StaffList(TypedDict):
    """The staff."""

    staff: list[StaffMember]
    roles: Mapping[str, list[str]]
    """The scopes of each role."""


class ApiClient(TypedDict):
    """An API client."""

    client_id: Annotated[str, Field(examples=["cli_01jd8xk3v5e6s7t8w9x0y1z2a3"])]
    name: str
    scopes: list[str]
    status: Literal["active", "expired", "revoked"]
    expires_at: str | None
    previous_secret_until: str | None
    """Until this time the previous secret is valid, too."""
    last_used_at: str | None
    """When the client last got a token, to the minute; None if it never did."""
    from_settings: bool
    """Whether the client is in the settings of the installation and cannot be changed by requests."""


class ApiClientSecret(TypedDict):
    """The API client and its secret, which is shown only here."""

    client: ApiClient
    client_secret: str


class ApiClientList(TypedDict):
    """The API clients that are not revoked."""

    clients: list[ApiClient]
