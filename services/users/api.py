"""Accounts over REST."""

from __future__ import annotations

import json
from secrets import token_urlsafe
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints

from services.contracts.scopes import USERS_ADMIN
from services.kit.auth.access import PUBLIC, Caller, needs
from services.kit.commands.cause import Cause
from services.kit.commands.outcome import Outcome
from services.kit.domain.errors import FieldError, Invalid, NotFound
from services.kit.domain.ids import new_id
from services.kit.domain.message import Email
from services.kit.domain.texts import ONE_LINE, Line
from services.kit.rest.app import ExpectedVersion, RestCause, UnmarkedCause, json_router
from services.kit.telemetry.metrics import METRICS
from services.users.account import (
    Activate,
    Active,
    ChangePassword,
    ChangePreferences,
    ChangeProfile,
    Delete,
    Deleted,
    Nobody,
    Pending,
    Profile,
    Register,
    Reinstate,
    RequestReset,
    RequestVerification,
    ResetPassword,
    Suspend,
    Suspended,
    User,
)
from services.users.accounts import Accounts
from services.users.answers import (
    CHANGED,
    PREFERENCES,
    PREFERRED,
    REGISTERED,
    RESET_ASKED,
    STATUS,
    USER,
    VERIFYING,
)
from services.users.limits import MAILED_TOKENS, REGISTRATIONS, TOKENS
from services.users.passwords import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN
from services.users.persons import Erase, Persons
from services.users.proofs import Proofs
from services.users.times import Times

__all__ = ["router"]

NOTICE_BYTES = 16

Name = Annotated[str, StringConstraints(min_length=2, max_length=100, strip_whitespace=True, pattern=ONE_LINE)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9 ()./\-]{2,30}$", strip_whitespace=True)]
Age = Annotated[int, Field(ge=18, le=120, strict=True)]
Password = Annotated[SecretStr, Field(min_length=PASSWORD_CHARS_MIN, max_length=PASSWORD_CHARS_MAX)]
Given = Annotated[SecretStr, Field(min_length=1, max_length=PASSWORD_CHARS_MAX)]
Token = Annotated[SecretStr, Field(min_length=1, max_length=200)]
PersonId = Annotated[
    str,
    Path(
        pattern=r"^[!-$&-~]{1,64}$",
        description="Whom to forget: of a guest the id of the order, else the `customer_id` that orders name.",
        examples=["ord_iwc61wrq2spsmypx929bhj947yw"],
    ),
]
UserId = Annotated[
    str,
    Path(
        pattern=r"^usr_[0-9a-z]{26}$", description="The id of the account.", examples=["usr_01jd8xk3v5e6s7t8w9x0y1z2a3"]
    ),
]


async def _readable(user_id: UserId, caller: Annotated[Caller, needs("users:read")]) -> str:
    return _within_reach(user_id, caller)


async def _writable(user_id: UserId, caller: Annotated[Caller, needs("users:write")]) -> str:
    return _within_reach(user_id, caller)


def _within_reach(user_id: str, caller: Caller) -> str:
    if not caller.may_reach(user_id):
        raise NotFound("user-not-found", "there is no such user")
    return user_id


Readable = Annotated[str, Depends(_readable)]
Writable = Annotated[str, Depends(_writable)]


class Strict(BaseModel):
    """A body without a field that nobody here reads."""

    model_config = ConfigDict(extra="forbid")


class ProfileBody(Strict):
    """A profile as a whole."""

    name: Name
    company: Line | None = None
    role: Line | None = None
    phone: Phone | None = None
    age: Age | None = None


class RegistrationBody(ProfileBody):
    """An account to be made."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"email": "ann@example.com", "name": "Ann Archer", "password": "correct horse battery"}]
        },
    )
    email: Email
    password: Password
    newsletter: bool = Field(default=False, strict=True)


class ProfilePatch(Strict):
    """The parts of a profile that are to change; null takes one away."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})
    name: Name = ""
    company: Line | None = None
    role: Line | None = None
    phone: Phone | None = None
    age: Age | None = None


class PreferencesBody(Strict):
    """What the user wants to hear from us, or the part of it that is to change."""

    notifications: bool = Field(default=True, strict=True)
    newsletter: bool = Field(default=False, strict=True)


class TokenBody(Strict):
    """A mailed token."""

    token: Token


class PasswordBody(Strict):
    """The password, and the next one."""

    current: Given
    new: Password


class ResetBody(Strict):
    """Whose password is forgotten."""

    email: Email


class ResetConfirmBody(Strict):
    """A mailed token and the next password."""

    token: Token
    new: Password


class SuspensionBody(Strict):
    """Why an account is shut."""

    reason: Line


def router(accounts: Accounts, persons: Persons, proofs: Proofs, times: Times) -> APIRouter:
    """The routes of accounts; whose an account is, is settled before they are reached."""
    routes = json_router(small=True)

    @routes.post("/users", status_code=201, responses=REGISTERED, dependencies=[PUBLIC, REGISTRATIONS])
    async def register_user(body: RegistrationBody, cause: RestCause) -> Response:
        """Make an account for whoever asks, and mail a token to its address; refused if the address has one."""
        METRICS.count("registrations", outcome="attempted")
        command = _registration(body, cause, times)
        hashed = await proofs.passwords.hash(body.password.get_secret_value())
        try:
            outcome = await accounts.carry_out(command, cause, password_hash=hashed)
        except Exception:
            METRICS.count("registrations", outcome="failed")
            raise
        METRICS.count("registrations", outcome="succeeded")
        user_id = _id_of(outcome, command.user_id)
        return _answer(outcome, 201, _shown(user_id, outcome.state), {"Location": f"/users/{user_id}"})

    @routes.get("/users/{user_id}", responses=USER)
    async def read_user(user_id: Readable) -> Response:
        """The caller's own account, or anybody's with `users:admin`."""
        user, version = await accounts.known(user_id)
        return _json(200, _shown(user_id, user), {"ETag": f'"{version}"'})

    @routes.put("/users/{user_id}", responses=CHANGED)
    async def rewrite_profile(
        user_id: Writable, body: ProfileBody, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Write the profile anew, as a whole; refused if the account is suspended."""
        return await change(
            user_id, ChangeProfile(at=cause.at, user_id=user_id, changes=body.model_dump()), cause, version
        )

    @routes.patch("/users/{user_id}", responses=CHANGED)
    async def amend_profile(
        user_id: Writable, body: ProfilePatch, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Change parts of the profile; refused if there is none to change, or the account is suspended."""
        changes = body.model_dump(exclude_unset=True)
        if not changes:
            raise Invalid("nothing-to-change", "name at least one field", (FieldError("body", "empty", "empty"),))
        command = ChangeProfile(at=cause.at, user_id=user_id, changes=changes)
        return await change(user_id, command, cause, version)

    async def change(user_id: str, command: ChangeProfile, cause: Cause, version: int | None) -> Response:
        outcome = await accounts.carry_out(command, cause, expected_version=version)
        return _answer(outcome, 200, _shown(user_id, outcome.state))

    @routes.delete("/users/{user_id}", status_code=204)
    async def delete_user(user_id: Writable, cause: RestCause, version: ExpectedVersion) -> Response:
        """Delete the account and forget whose it was, everywhere and for ever; twice is as once."""
        outcome = await accounts.carry_out(Delete(at=cause.at, user_id=user_id), cause, expected_version=version)
        return _answer(outcome, 204)

    @routes.get("/users/{user_id}/preferences", responses=PREFERENCES)
    async def read_preferences(user_id: Readable) -> Response:
        """What the user wants to hear from us."""
        user, version = await accounts.known(user_id)
        return _json(200, _preferences(user), {"ETag": f'"{version}"'})

    @routes.put("/users/{user_id}/preferences", responses=PREFERRED)
    async def rewrite_preferences(
        user_id: Writable, body: PreferencesBody, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Say what the user wants to hear, as a whole: what is left out is as it was in the beginning."""
        return await change_preferences(user_id, body.model_dump(), cause, version)

    @routes.patch("/users/{user_id}/preferences", responses=PREFERRED)
    async def amend_preferences(
        user_id: Writable, body: PreferencesBody, cause: RestCause, version: ExpectedVersion
    ) -> Response:
        """Change a part of what the user wants to hear; refused if the account is suspended."""
        return await change_preferences(user_id, body.model_dump(exclude_unset=True), cause, version)

    async def change_preferences(user_id: str, changes: dict[str, bool], cause: Cause, version: int | None) -> Response:
        command = ChangePreferences(at=cause.at, user_id=user_id, changes=changes)
        outcome = await accounts.carry_out(command, cause, expected_version=version)
        return _answer(outcome, 200, _preferences(outcome.state))

    @routes.post(
        "/users/{user_id}/verification",
        status_code=202,
        responses=VERIFYING,
        dependencies=[PUBLIC, MAILED_TOKENS],
    )
    async def request_verification(user_id: UserId, cause: RestCause) -> Response:
        """Mail another token for `activate`; refused if the account is active, or too many mails stayed unanswered."""
        command = RequestVerification(
            at=cause.at, user_id=user_id, notice_id=_notice(), expires_at=cause.at + times.verification
        )
        outcome = await accounts.carry_out(command, cause)
        return _answer(outcome, 202, _status_of(user_id, outcome.state))

    @routes.post("/users/{user_id}/activate", responses=STATUS, dependencies=[PUBLIC, TOKENS])
    async def activate_user(user_id: UserId, body: TokenBody, cause: RestCause) -> Response:
        """Open the account with the token that was mailed; refused if the token is wrong, replaced or expired."""
        outcome = await accounts.repeated(cause)
        if outcome is None:
            notice_id = await proofs.verification(user_id, body.token.get_secret_value())
            outcome = await accounts.carry_out(Activate(at=cause.at, user_id=user_id, notice_id=notice_id), cause)
        return _answer(outcome, 200, _status_of(user_id, outcome.state))

    @routes.post("/users/{user_id}/password", status_code=204)
    async def change_password(user_id: Writable, body: PasswordBody, cause: RestCause) -> Response:
        """Set another password and end all sessions; refused if the current one is wrong or the account not active."""
        outcome = await accounts.repeated(cause)
        if outcome is None:
            await proofs.current_password(user_id, body.current.get_secret_value(), cause.at)
            hashed = await proofs.passwords.hash(body.new.get_secret_value())
            command = ChangePassword(at=cause.at, user_id=user_id, notice_id=_notice())
            outcome = await accounts.carry_out(command, cause, password_hash=hashed)
        return _answer(outcome, 204)

    @routes.post("/password-reset", status_code=202, responses=RESET_ASKED, dependencies=[PUBLIC, MAILED_TOKENS])
    async def request_password_reset(body: ResetBody, cause: UnmarkedCause) -> Response:
        """Mail a token for another password to whoever forgot theirs; answers the same if there is no such account."""

        async def act(user_id: str) -> None:
            expires_at = cause.at + times.reset
            command = RequestReset(at=cause.at, user_id=user_id, notice_id=_notice(), expires_at=expires_at)
            # without the Idempotency-Key: what came of an earlier use of it would tell whether there was an account
            await accounts.carry_out(command, Cause(cause.at))

        await proofs.whether_known_or_not(body.email, act)
        return _json(202, {})

    @routes.post("/password-reset/confirm", status_code=204, dependencies=[PUBLIC, TOKENS])
    async def reset_password(body: ResetConfirmBody, cause: RestCause) -> Response:
        """Set another password with the token that was mailed; refused if the token is wrong, used or expired."""
        outcome = await accounts.repeated(cause)
        if outcome is None:
            user_id, reset_id = await proofs.reset(body.token.get_secret_value())
            hashed = await proofs.passwords.hash(body.new.get_secret_value())
            command = ResetPassword(at=cause.at, user_id=user_id, reset_id=reset_id, notice_id=_notice())
            outcome = await accounts.carry_out(command, cause, password_hash=hashed)
        return _answer(outcome, 204)

    @routes.post("/users/{user_id}/suspend", responses=STATUS, dependencies=[needs(USERS_ADMIN)])
    async def suspend_user(user_id: UserId, body: SuspensionBody, cause: RestCause) -> Response:
        """Shut an account for a reason and end its sessions; refused if its address was not verified."""
        outcome = await accounts.carry_out(Suspend(at=cause.at, user_id=user_id, reason=body.reason), cause)
        return _answer(outcome, 200, _status_of(user_id, outcome.state))

    @routes.post("/users/{user_id}/reinstate", responses=STATUS, dependencies=[needs(USERS_ADMIN)])
    async def reinstate_user(user_id: UserId, cause: RestCause) -> Response:
        """Open an account again that was suspended; refused if its address was not verified."""
        outcome = await accounts.carry_out(Reinstate(at=cause.at, user_id=user_id), cause)
        return _answer(outcome, 200, _status_of(user_id, outcome.state))

    @routes.delete("/persons/{person_id}", status_code=204, dependencies=[needs(USERS_ADMIN)])
    async def erase_person(person_id: PersonId, cause: UnmarkedCause) -> Response:
        """Forget a guest, or a customer without an account, everywhere and for ever; refused if it is a user."""
        await persons.erase(Erase(at=cause.at, person_id=person_id), cause)
        return Response(status_code=204)

    return routes


def _registration(body: RegistrationBody, cause: Cause, times: Times) -> Register:
    return Register(
        at=cause.at,
        user_id=new_id("usr"),
        email=body.email,
        profile=Profile(body.name, body.company, body.role, body.phone, body.age),
        newsletter=body.newsletter,
        notice_id=_notice(),
        expires_at=cause.at + times.verification,
        welcome_at=cause.at + times.welcome,
        follow_up_at=cause.at + times.follow_up,
    )


def _notice() -> str:
    return token_urlsafe(NOTICE_BYTES)


def _id_of(outcome: Outcome[User], made: str) -> str:
    return outcome.repeated.stream.partition("-")[2] if outcome.repeated else made


def _shown(user_id: str, user: User) -> dict[str, object]:
    if isinstance(user, Nobody | Deleted):
        return _status_of(user_id, user)
    profile = user.person.profile
    return {
        **_status_of(user_id, user),
        "email": user.person.email,
        "name": profile.name,
        "company": profile.company,
        "role": profile.role,
        "phone": profile.phone,
        "age": profile.age,
        "preferences": _preferences(user),
    }


def _preferences(user: User) -> dict[str, object]:
    if isinstance(user, Nobody | Deleted):
        return {}
    preferences = user.person.preferences
    return {"notifications": preferences.notifications, "newsletter": preferences.newsletter}


def _status_of(user_id: str, user: User) -> dict[str, object]:
    return {"id": user_id, "status": _STATUS[type(user)]}


_STATUS: dict[type, str] = {
    Pending: "pending_verification",
    Active: "active",
    Suspended: "suspended",
    Deleted: "deleted",
    Nobody: "unknown",
}


def _answer(
    outcome: Outcome[User], status: int, body: dict[str, object] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """What came of a command; a repeat gets what the first request got."""
    tagged = {**(headers or {}), "ETag": f'"{outcome.version}"'}
    if outcome.repeated is not None:
        tagged["Idempotent-Replayed"] = "true"
    if body is None:
        return Response(status_code=status, headers=tagged)
    return _json(status, {**body, "position": str(outcome.position)}, tagged)


def _json(status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status_code=status, headers=headers, media_type="application/json")
