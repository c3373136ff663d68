"""The bodies of requests to users."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, ConfigDict, Field, SecretStr, StringConstraints
from pydantic.config import JsonDict

from services.contracts.scopes import EVERY_SCOPE
from services.contracts.users import StaffRole
from services.kit.domain.message import Email
from services.kit.domain.texts import ONE_LINE, Line, is_one_line
from services.kit.rest.bodies import RequestBody
from services.users.passwords import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN

__all__ = [
    "ClientBody", "InvitationBody", "PasswordBody", "PreferencesBody", "ProfileBody", "ProfilePatch",
    "RegistrationBody", "ResetBody", "ResetConfirmBody", "RoleBody", "RotationBody", "SuspensionBody", "TokenBody",
]  # fmt: skip

Name = Annotated[str, StringConstraints(min_length=2, max_length=100, strip_whitespace=True, pattern=ONE_LINE)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()./\-]{2,30}$", strip_whitespace=True)]
Age = Annotated[int, Field(ge=18, le=120, strict=True)]


def _one_line(secret: SecretStr) -> SecretStr:
    if not is_one_line(secret.get_secret_value()):
        raise ValueError("a line break cannot be part of this")
    return secret


OneLine = AfterValidator(_one_line)
Password = Annotated[SecretStr, Field(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX), OneLine]
Given = Annotated[SecretStr, Field(min_length=1, max_length=PASSWORD_CHARS_MAX), OneLine]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200), OneLine]


class ProfileBody(RequestBody):
    """A whole profile."""

    name: Name
    company: Line | None = None
    role: Line | None = None
    phone: Phone | None = None
    age: Age | None = None


class RegistrationBody(ProfileBody):
    """The account to create."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "ann@example.com", "name": "Ann Archer", "password": "correct horse battery"}]
        }
    )
    email: Email
    password: Password
    newsletter: bool = Field(default=False, strict=True)


def _without_default(schema: JsonDict) -> None:
    """Describe a field that may be missing and has no value then."""
    del schema["default"]


class ProfilePatch(RequestBody):
    """The fields of a profile to change; null removes a field."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1})
    name: Name = Field(default="", json_schema_extra=_without_default)
    company: Line | None = None
    role: Line | None = None
    phone: Phone | None = None
    age: Age | None = None


class PreferencesBody(RequestBody):
    """The mails that the user wants; for PATCH the fields to change."""

    notifications: bool = Field(default=True, strict=True)
    newsletter: bool = Field(default=False, strict=True)


class TokenBody(RequestBody):
    """The token in the mail."""

    token: Token


class PasswordBody(RequestBody):
    """The current password and the new one."""

    current: Given
    new: Password


class ResetBody(RequestBody):
    """The address of the account."""

    email: Email


class ResetConfirmBody(RequestBody):
    """The token in the mail and the new password."""

    token: Token
    new: Password


class SuspensionBody(RequestBody):
    """The reason of the suspension."""

    reason: Line


class InvitationBody(RequestBody):
    """Who is invited, and for which role."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ann@example.com", "name": "Ann Archer", "role": "support"}]}
    )
    email: Email
    name: Name
    role: StaffRole


class RoleBody(RequestBody):
    """The new role."""

    role: StaffRole


def _known_scope(scope: str) -> str:
    if scope not in EVERY_SCOPE:
        raise ValueError(f"there is no such scope; the scopes are {', '.join(EVERY_SCOPE)}")
    return scope


Scope = Annotated[str, StringConstraints(max_length=50), AfterValidator(_known_scope)]


class ClientBody(RequestBody):
    """The name and the scopes of the program; without `expires_at` it never expires."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "Warehouse", "scopes": ["stock:read", "stock:write"]}]}
    )
    name: Line
    scopes: tuple[Scope, ...] = Field(min_length=1, max_length=50)
    expires_at: AwareDatetime | None = None


class RotationBody(RequestBody):
    """How long the previous secret stays valid; 0 if it leaked."""

    keep_previous_seconds: int = Field(default=86_400, ge=0, le=30 * 86_400, strict=True)
