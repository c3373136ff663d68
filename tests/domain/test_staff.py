"""Staff join by an invitation that they accept, and have a role with fixed scopes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.contracts.scopes import EVERY_SCOPE
from services.contracts.users import PasswordChanged, StaffInvited, StaffRoleChanged, UserActivated, UserRegistered
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message
from services.users.account import (
    Active,
    ChangePassword,
    ChangeRole,
    Delete,
    InviteStaff,
    NoUser,
    ResetPassword,
    Suspend,
    User,
)
from services.users.domain import USER
from services.users.roles import ROLES, scopes_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
WHO: Any = {"at": AT, "user_id": "usr_1"}
INVITE = InviteStaff(
    **WHO, email="ann@example.com", name="Ann", role="support", notice_id="n1", expires_at=AT + timedelta(days=7)
)
NOBODY = NoUser()
ACCEPT = ResetPassword(**WHO, reset_id="n1", notice_id="p1")


def after(*commands: object, user: User = NOBODY) -> User:
    for command in commands:
        events = USER.decide(command, user)  # pyright: ignore[reportArgumentType]
        assert not isinstance(events, Rejected), events
        for event in events:
            user = USER.evolve(user, event)
    return user


def role_of(user: User) -> str | None:
    assert isinstance(user, Active)
    return user.person.staff_role


def kinds(events: object) -> list[type[Message]]:
    assert isinstance(events, list)
    return [type(event) for event in events]


def test_an_invitation_makes_an_account_and_schedules_no_mail_for_customers():
    assert kinds(USER.decide(INVITE, NoUser())) == [UserRegistered, StaffInvited]


def test_the_role_holds_when_the_invitation_is_accepted():
    invited = after(INVITE)
    assert kinds(USER.decide(ACCEPT, invited)) == [UserActivated, *kinds(USER.decide(ACCEPT, invited))[1:]]
    assert kinds(USER.decide(ACCEPT, invited))[-2:] == [PasswordChanged, StaffRoleChanged]
    assert role_of(after(ACCEPT, user=invited)) == "support"


def test_an_invitation_is_accepted_once_and_in_time():
    accepted = after(INVITE, ACCEPT)
    again = USER.decide(ResetPassword(**WHO, reset_id="n1", notice_id="p2"), accepted)
    assert isinstance(again, Rejected) and again.code == "token-used"
    late = ResetPassword(at=AT + timedelta(days=7), user_id="usr_1", reset_id="n1", notice_id="p2")
    refused = USER.decide(late, after(INVITE))
    assert isinstance(refused, Rejected) and refused.code == "token-expired"


def test_another_invitation_voids_the_first():
    second = InviteStaff(
        **WHO, email="ann@example.com", name="Ann", role="viewer", notice_id="n2", expires_at=AT + timedelta(days=7)
    )
    user = after(INVITE, second)
    assert isinstance(USER.decide(ACCEPT, user), Rejected)
    assert role_of(after(ResetPassword(**WHO, reset_id="n2", notice_id="p1"), user=user)) == "viewer"


def test_a_change_of_the_password_does_not_accept_an_invitation():
    user = after(INVITE, ACCEPT, ChangeRole(**WHO, role=None), INVITE, ChangePassword(**WHO, notice_id="p3"))
    assert role_of(user) is None


def test_a_removed_invitation_cannot_be_accepted():
    assert isinstance(USER.decide(ACCEPT, after(INVITE, ChangeRole(**WHO, role=None))), Rejected)


@pytest.mark.parametrize(
    ("commands", "command", "code"),
    [
        ((), ChangeRole(**WHO, role="viewer"), "staff-not-found"),
        ((INVITE,), ChangeRole(**WHO, role="viewer"), "not-accepted"),
        ((INVITE, ACCEPT), INVITE, "already-staff"),
        ((INVITE, ACCEPT, Suspend(**WHO, reason="left")), INVITE, "user-suspended"),
        ((INVITE, ACCEPT, Delete(**WHO)), INVITE, "user-not-found"),
        ((INVITE, ACCEPT, Delete(**WHO)), ChangeRole(**WHO, role=None), "staff-not-found"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(commands, command, code):
    refused = USER.decide(command, after(*commands))
    assert isinstance(refused, Rejected) and refused.code == code


def test_the_same_role_again_changes_nothing():
    assert USER.decide(ChangeRole(**WHO, role="support"), after(INVITE, ACCEPT)) == []


def test_each_role_has_only_scopes_that_exist_and_no_role_may_do_more_than_admin():
    assert all(set(scopes) <= set(EVERY_SCOPE) for scopes in ROLES.values())
    assert set(scopes_of("admin")) == set(EVERY_SCOPE)


def test_a_viewer_changes_nothing_of_others():
    may_change = {scope for scope in scopes_of("viewer") if scope.endswith(":write")}
    assert may_change == {"users:write"} and "users:admin" not in scopes_of("viewer")
