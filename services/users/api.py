"""REST of accounts."""

from __future__ import annotations

from secrets import token_urlsafe
from typing import Annotated, cast

from fastapi import Depends, Path, Response

from services.contracts.scopes import USERS_ADMIN
from services.contracts.users import ProfileFields
from services.kit.auth.access import PUBLIC, Caller, needs
from services.kit.commands.cause import Cause
from services.kit.commands.outcome import Outcome
from services.kit.domain.errors import NotFound
from services.kit.domain.ids import new_id
from services.kit.rest.answers import ETAG, Answer, CommandAnswer, command_answer, location
from services.kit.rest.app import ExpectedVersion, RestCause, UnmarkedCause, json_router, provided
from services.kit.rest.faults import nothing_to_change
from services.kit.rest.limits import limited
from services.kit.rest.routes import SmallJsonRequest
from services.kit.telemetry.metrics import METRICS
from services.users.account import (
    Activate,
    Active,
    ChangePassword,
    ChangePreferences,
    ChangeProfile,
    Delete,
    Deleted,
    NoUser,
    Pending,
    Register,
    Reinstate,
    RequestReset,
    RequestVerification,
    ResetPassword,
    Suspend,
    Suspended,
)
from services.users.account import User as AnyUser
from services.users.accounts import Accounts
from services.users.answers import (
    MailRequested,
    Preferences,
    PreferencesNow,
    Status,
    User,
    UserAndStatus,
    UserNow,
    VerificationRequested,
)
from services.users.bodies import (
    PasswordBody,
    PreferencesBody,
    ProfileBody,
    ProfilePatch,
    RegistrationBody,
    ResetBody,
    ResetConfirmBody,
    SuspensionBody,
    TokenBody,
)
from services.users.limits import RATES
from services.users.persons import Erase, Persons
from services.users.proofs import Proofs
from services.users.times import Times

__all__ = ["AllAccounts", "AllProofs", "AllTimes", "UserId", "done", "new_notice", "routes", "status_of"]

NOTICE_BYTES = 16
ME = "me"

routes = json_router(SmallJsonRequest)

PersonId = Annotated[
    str,
    Path(
        pattern=r"^[!-$&-~]{1,64}$",
        description="The id of the order of a guest, or the `customer_id` of a customer without an account.",
        examples=["ord_iwc61wrq2spsmypx929bhj947yw"],
    ),
]
UserId = Annotated[
    str,
    Path(
        pattern=r"^usr_[0-9a-z]{26}$", description="The id of the account.", examples=["usr_01jd8xk3v5e6s7t8w9x0y1z2a3"]
    ),
]


UserIdOrMe = Annotated[
    str,
    Path(
        pattern=r"^(me|usr_[0-9a-z]{26})$",
        description="The id of the account, or `me` for the account of the caller.",
        examples=["me"],
    ),
]


def _reachable(user_id: str, caller: Caller) -> str:
    if user_id == ME:
        return caller.subject
    if not caller.may_reach(user_id):
        raise NotFound("user-not-found", "There is no such user.")
    return user_id


async def _readable(user_id: UserIdOrMe, caller: Annotated[Caller, needs("users:read")]) -> str:
    return _reachable(user_id, caller)


async def _writable(user_id: UserIdOrMe, caller: Annotated[Caller, needs("users:write")]) -> str:
    return _reachable(user_id, caller)


Readable = Annotated[str, Depends(_readable)]
Writable = Annotated[str, Depends(_writable)]
AllAccounts = Annotated[Accounts, provided(Accounts)]
AllPersons = Annotated[Persons, provided(Persons)]
AllProofs = Annotated[Proofs, provided(Proofs)]
AllTimes = Annotated[Times, provided(Times)]


@routes.post(
    "/users",
    status_code=201,
    responses=location(201, "the account", read_side=False),
    dependencies=[PUBLIC, limited("register", RATES)],
)
async def register_user(
    body: RegistrationBody, cause: RestCause, accounts: AllAccounts, proofs: AllProofs, times: AllTimes
) -> CommandAnswer[UserNow]:
    """Register an account.

    Creates an account that waits for verification, and mails a token for `activate` to its address. Refused (409) if
    the address has an account: sign in, or reset the password.
    """
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
    return command_answer(201, _shown(user_id, outcome.state), outcome, {"Location": f"/users/{user_id}"})


@routes.get("/users/{user_id}", responses={200: {"headers": ETAG}})
async def read_user(user_id: Readable, accounts: AllAccounts) -> Answer[User]:
    """Read an account.

    Shows the caller's own account, also as `GET /users/me`; with the scope `users:admin` any account. Refused (404)
    for another account, and if the caller is a program.
    """
    user, version = await accounts.known(user_id)
    return Answer(_shown(user_id, user), headers={"ETag": f'"{version}"'})


@routes.put("/users/{user_id}")
async def rewrite_profile(
    user_id: Writable, body: ProfileBody, cause: RestCause, version: ExpectedVersion, accounts: AllAccounts
) -> CommandAnswer[UserNow]:
    """Replace an account's profile.

    Replaces all fields of the profile; a field that is absent is removed. Refused (409) while the account is suspended.
    """
    command = ChangeProfile(at=cause.at, user_id=user_id, changes=body.model_dump())
    outcome = await accounts.carry_out(command, cause, expected_version=version)
    return command_answer(200, _shown(user_id, outcome.state), outcome)


@routes.patch("/users/{user_id}")
async def amend_profile(
    user_id: Writable, body: ProfilePatch, cause: RestCause, version: ExpectedVersion, accounts: AllAccounts
) -> CommandAnswer[UserNow]:
    """Amend an account's profile.

    Changes the fields in the body; null removes a field. Refused (422) without a field, and (409) while the account is
    suspended.
    """
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise nothing_to_change()
    command = ChangeProfile(at=cause.at, user_id=user_id, changes=changes)
    outcome = await accounts.carry_out(command, cause, expected_version=version)
    return command_answer(200, _shown(user_id, outcome.state), outcome)


@routes.delete("/users/{user_id}", status_code=204)
async def delete_user(user_id: Writable, cause: RestCause, version: ExpectedVersion, accounts: AllAccounts) -> Response:
    """Delete an account.

    Deletes the account and destroys the key that encrypts its personal data, so that no service can read them again,
    in events, views or backups. Deleting it again changes nothing.
    """
    outcome = await accounts.carry_out(Delete(at=cause.at, user_id=user_id), cause, expected_version=version)
    return done(outcome)


@routes.get("/users/{user_id}/preferences", responses={200: {"headers": ETAG}})
async def read_preferences(user_id: Readable, accounts: AllAccounts) -> Answer[Preferences]:
    """Read a user's preferences.

    Shows the mails that the user wants. Refused (404) for the account of another user.
    """
    user, version = await accounts.known(user_id)
    return Answer(_preferences(user), headers={"ETag": f'"{version}"'})


@routes.put("/users/{user_id}/preferences")
async def rewrite_preferences(
    user_id: Writable, body: PreferencesBody, cause: RestCause, version: ExpectedVersion, accounts: AllAccounts
) -> CommandAnswer[PreferencesNow]:
    """Replace a user's preferences.

    Replaces all preferences; an absent one gets its default. Refused (409) while the account is suspended.
    """
    command = ChangePreferences(at=cause.at, user_id=user_id, changes=body.model_dump())
    outcome = await accounts.carry_out(command, cause, expected_version=version)
    return command_answer(200, _preferences(outcome.state), outcome)


@routes.patch("/users/{user_id}/preferences")
async def amend_preferences(
    user_id: Writable, body: PreferencesBody, cause: RestCause, version: ExpectedVersion, accounts: AllAccounts
) -> CommandAnswer[PreferencesNow]:
    """Amend a user's preferences.

    Changes the preferences in the body. Refused (409) while the account is suspended.
    """
    changes = body.model_dump(exclude_unset=True)
    command = ChangePreferences(at=cause.at, user_id=user_id, changes=changes)
    outcome = await accounts.carry_out(command, cause, expected_version=version)
    return command_answer(200, _preferences(outcome.state), outcome)


@routes.post("/users/{user_id}/verification", status_code=202, dependencies=[PUBLIC, limited("mail-token", RATES)])
async def request_verification(
    user_id: UserId, cause: RestCause, accounts: AllAccounts, times: AllTimes
) -> CommandAnswer[VerificationRequested]:
    """Request another verification mail.

    Mails a new token for `activate`; the earlier one is void. Refused (409) if the account is active, or after too many
    mails.
    """
    expires_at = cause.at + times.verification
    command = RequestVerification(at=cause.at, user_id=user_id, notice_id=new_notice(), expires_at=expires_at)
    outcome = await accounts.carry_out(command, cause)
    return command_answer(202, status_of(user_id, outcome.state), outcome)


@routes.post("/users/{user_id}/activate", dependencies=[PUBLIC, limited("token", RATES)])
async def activate_user(
    user_id: UserId, body: TokenBody, cause: RestCause, accounts: AllAccounts, proofs: AllProofs
) -> CommandAnswer[UserAndStatus]:
    """Activate an account.

    Activates the account with the token that was mailed to its address. Refused (409) if the token is wrong, replaced
    by a later one or expired: request another verification mail.
    """
    outcome = await accounts.repeated(cause)
    if outcome is None:
        notice_id = await proofs.verification(user_id, body.token.get_secret_value())
        outcome = await accounts.carry_out(Activate(at=cause.at, user_id=user_id, notice_id=notice_id), cause)
    return command_answer(200, status_of(user_id, outcome.state), outcome)


@routes.post("/users/{user_id}/password", status_code=204)
async def change_password(
    user_id: Writable, body: PasswordBody, cause: RestCause, accounts: AllAccounts, proofs: AllProofs
) -> Response:
    """Change a password.

    Sets a new password and ends all sessions of the user. Refused if the current password is wrong, or the account is
    not active.
    """
    outcome = await accounts.repeated(cause)
    if outcome is None:
        await proofs.current_password(user_id, body.current.get_secret_value(), cause.at)
        hashed = await proofs.passwords.hash(body.new.get_secret_value())
        command = ChangePassword(at=cause.at, user_id=user_id, notice_id=new_notice())
        outcome = await accounts.carry_out(command, cause, password_hash=hashed)
    return done(outcome)


@routes.post("/password-reset", status_code=202, dependencies=[PUBLIC, limited("mail-token", RATES)])
async def request_password_reset(
    body: ResetBody, cause: UnmarkedCause, accounts: AllAccounts, proofs: AllProofs, times: AllTimes
) -> Answer[MailRequested]:
    """Request a password reset.

    Mails a token for a new password to the address of an account. The answer is the same if the address has no account.
    """

    async def act(user_id: str) -> None:
        expires_at = cause.at + times.reset
        command = RequestReset(at=cause.at, user_id=user_id, notice_id=new_notice(), expires_at=expires_at)
        # without the Idempotency-Key: the answer to its earlier use would tell whether the address has an account
        await accounts.carry_out(command, Cause(cause.at))

    await proofs.whether_known_or_not(body.email, act)
    return Answer(MailRequested(), 202)


@routes.post("/password-reset/confirm", status_code=204, dependencies=[PUBLIC, limited("token", RATES)])
async def reset_password(
    body: ResetConfirmBody, cause: RestCause, accounts: AllAccounts, proofs: AllProofs
) -> Response:
    """Reset a password.

    Sets a new password with the token that was mailed, and ends all sessions of the user. Refused (409) if the token is
    wrong, used or expired: request another reset.
    """
    outcome = await accounts.repeated(cause)
    if outcome is None:
        user_id, reset_id = await proofs.reset(body.token.get_secret_value())
        hashed = await proofs.passwords.hash(body.new.get_secret_value())
        command = ResetPassword(at=cause.at, user_id=user_id, reset_id=reset_id, notice_id=new_notice())
        outcome = await accounts.carry_out(command, cause, password_hash=hashed)
    return done(outcome)


@routes.post("/users/{user_id}/suspend", dependencies=[needs(USERS_ADMIN)])
async def suspend_user(
    user_id: UserId, body: SuspensionBody, cause: RestCause, accounts: AllAccounts
) -> CommandAnswer[UserAndStatus]:
    """Suspend an account.

    Suspends an account for a reason and ends its sessions; its user cannot sign in. Refused (409) if the address was
    never verified.
    """
    outcome = await accounts.carry_out(Suspend(at=cause.at, user_id=user_id, reason=body.reason), cause)
    return command_answer(200, status_of(user_id, outcome.state), outcome)


@routes.post("/users/{user_id}/reinstate", dependencies=[needs(USERS_ADMIN)])
async def reinstate_user(user_id: UserId, cause: RestCause, accounts: AllAccounts) -> CommandAnswer[UserAndStatus]:
    """Reinstate a suspended account.

    Activates a suspended account again. Refused (409) if the address was never verified.
    """
    outcome = await accounts.carry_out(Reinstate(at=cause.at, user_id=user_id), cause)
    return command_answer(200, status_of(user_id, outcome.state), outcome)


@routes.delete("/persons/{person_id}", status_code=204, dependencies=[needs(USERS_ADMIN)])
async def erase_person(person_id: PersonId, cause: UnmarkedCause, persons: AllPersons) -> Response:
    """Erase a person's data.

    Destroys the key that encrypts the personal data of a guest, or of a customer without an account, so that no service
    can read them again. Refused (409) if the person has an account: delete the account instead.
    """
    await persons.erase(Erase(at=cause.at, person_id=person_id), cause)
    return Response(status_code=204)


def _registration(body: RegistrationBody, cause: Cause, times: Times) -> Register:
    return Register(
        at=cause.at,
        user_id=new_id("usr"),
        email=body.email,
        profile=ProfileFields.of(body),
        newsletter=body.newsletter,
        notice_id=new_notice(),
        expires_at=cause.at + times.verification,
        welcome_at=cause.at + times.welcome,
        follow_up_at=cause.at + times.follow_up,
    )


def new_notice() -> str:
    """The id of a notice, from which its token is derived."""
    return token_urlsafe(NOTICE_BYTES)


def _id_of(outcome: Outcome[AnyUser], made: str) -> str:
    return outcome.repeated.stream.partition("-")[2] if outcome.repeated else made


def _shown(user_id: str, user: AnyUser) -> UserNow:
    status = status_of(user_id, user)
    if isinstance(user, NoUser | Deleted):  # a repeat after the deletion: nothing else is left
        return cast("UserNow", status)
    profile = user.person.profile.model_dump()
    return UserNow(**status, email=user.person.email, **profile, preferences=_preferences(user))


def _preferences(user: AnyUser) -> PreferencesNow:
    if isinstance(user, NoUser | Deleted):
        return cast("PreferencesNow", {})
    return PreferencesNow(**user.person.preferences.model_dump())


def status_of(user_id: str, user: AnyUser) -> VerificationRequested:
    """The id and the status of an account."""
    return {"id": user_id, "status": cast("Status", _STATUS[type(user)])}


_STATUS: dict[type, str] = {
    Pending: "pending_verification",
    Active: "active",
    Suspended: "suspended",
    Deleted: "deleted",
    NoUser: "unknown",
}


def done(outcome: Outcome[AnyUser]) -> Response:
    """The empty answer to a command."""
    headers = {"ETag": f'"{outcome.version}"'}
    if outcome.repeated is not None:
        headers["Idempotent-Replayed"] = "true"
    return Response(status_code=204, headers=headers)
