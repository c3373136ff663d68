"""REST of staff: invitations and roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, cast

from fastapi import Response

from services.contracts.scopes import ACCESS_READ, ACCESS_WRITE
from services.kit.auth.access import Caller, needs
from services.kit.domain.errors import Forbidden
from services.kit.domain.ids import new_id
from services.kit.rest.answers import Answer, CommandAnswer, command_answer, location
from services.kit.rest.app import RestCause, json_router
from services.kit.rest.routes import SmallJsonRequest
from services.users.account import ChangeRole, InviteStaff, User
from services.users.accounts import Accounts, Known
from services.users.answers import StaffList, StaffMember, StaffMemberNow
from services.users.api import AllAccounts, AllProofs, AllTimes, UserId, done, new_notice, status_of
from services.users.bodies import InvitationBody, RoleBody
from services.users.roles import ROLES

__all__ = ["may_grant", "routes"]

routes = json_router(SmallJsonRequest)

Inviter = Annotated[Caller, needs(ACCESS_WRITE)]


def may_grant(caller: Caller, scopes: Iterable[str], field: str) -> None:
    """Forbidden if the caller lacks one of these scopes: nobody can give others more than they have."""
    if missing := sorted(set(scopes) - caller.scopes):
        raise Forbidden(missing[0], (field,))


@routes.get("/staff", dependencies=[needs(ACCESS_READ)])
async def read_staff(accounts: AllAccounts) -> Answer[StaffList]:
    """Read the staff.

    Lists everybody with a role and everybody who is invited, and the scopes of each role.
    """
    members: list[StaffMember] = [_member(user_id, user) for user_id, user in await accounts.staff()]
    return Answer(StaffList(staff=members, roles={role: list(scopes) for role, scopes in ROLES.items()}))


@routes.post("/staff", status_code=201, responses=location(201, "the staff", read_side=False))
async def invite_staff(
    body: InvitationBody,
    caller: Inviter,
    cause: RestCause,
    accounts: AllAccounts,
    proofs: AllProofs,
    times: AllTimes,
) -> CommandAnswer[StaffMemberNow]:
    """Invite somebody to the staff.

    Mails an invitation. The person accepts it with `POST /password-reset/confirm`, which takes its token and a new
    password, and has the role from then on. If the address has no account, one is made. Refused (403) if the role has a
    scope that the caller's token lacks, and (409) if the person has the role already.
    """
    may_grant(caller, ROLES[body.role], "role")
    command = InviteStaff(
        at=cause.at,
        user_id=await proofs.user_with(body.email) or new_id("usr"),
        email=body.email,
        name=body.name,
        role=body.role,
        notice_id=new_notice(),
        expires_at=cause.at + times.invitation,
    )
    outcome = await accounts.carry_out(command, cause)
    user_id = outcome.repeated.stream.partition("-")[2] if outcome.repeated else command.user_id
    return command_answer(201, _member(user_id, outcome.state), outcome, {"Location": "/staff"})


@routes.put("/staff/{user_id}")
async def change_role(
    user_id: UserId, body: RoleBody, caller: Inviter, cause: RestCause, accounts: AllAccounts
) -> CommandAnswer[StaffMemberNow]:
    """Change a role.

    Gives a member of the staff another role, and ends their logins. Refused (403) if the old or the new role has a
    scope that the caller's token lacks, (404) if the person does not belong to the staff, and (409) if the person has
    not accepted an invitation: invite them again.
    """
    may_grant(caller, ROLES[body.role], "role")
    await _may_change(caller, user_id, accounts)
    outcome = await accounts.carry_out(ChangeRole(at=cause.at, user_id=user_id, role=body.role), cause)
    return command_answer(200, _member(user_id, outcome.state), outcome)


@routes.delete("/staff/{user_id}", status_code=204)
async def remove_staff(user_id: UserId, caller: Inviter, cause: RestCause, accounts: AllAccounts) -> Response:
    """Remove somebody from the staff.

    Takes the role away, voids an open invitation, and ends the logins at once. The account stays, as that of a
    customer. Refused (403) if the person has a scope that the caller's token lacks, and (404) if the person does not
    belong to the staff.
    """
    await _may_change(caller, user_id, accounts)
    return done(await accounts.carry_out(ChangeRole(at=cause.at, user_id=user_id, role=None), cause))


async def _may_change(caller: Caller, user_id: str, accounts: Accounts) -> None:
    user, _ = await accounts.known(user_id)
    if role := user.person.staff_role:
        may_grant(caller, ROLES[role], "role")


def _member(user_id: str, user: User) -> StaffMemberNow:
    status = status_of(user_id, user)
    if not isinstance(user, Known):  # a repeat after the deletion: nothing else is left
        return cast("StaffMemberNow", status)
    person = user.person
    return StaffMemberNow(
        id=status["id"],
        status=status["status"],
        email=person.email,
        name=person.profile.name,
        role=person.staff_role,
        invited_as=person.invitation.role if person.invitation else None,
    )
