"""The rules of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar, assert_never

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.contracts.users import (
    FollowUpDue,
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    PreferenceFields,
    PreferencesChanged,
    ProfileChanged,
    ProfileFields,
    StaffInvited,
    StaffRole,
    StaffRoleChanged,
    TokenNotice,
    UserActivated,
    UserDeleted,
    UserNotice,
    UserRegistered,
    UserReinstated,
    UserSuspended,
    VerificationRequested,
    WelcomeDue,
    WelcomeTipsSend,
)
from services.kit.domain.decider import Decider, Decision, Rejected
from services.kit.domain.message import Message
from services.users.account import (
    Activate,
    Active,
    ChangePassword,
    ChangePreferences,
    ChangeProfile,
    ChangeRole,
    Delete,
    Deleted,
    InviteStaff,
    NoUser,
    Pending,
    Person,
    Register,
    Reinstate,
    RequestReset,
    RequestVerification,
    ResetPassword,
    ScheduledMail,
    SendScheduledMail,
    Suspend,
    Suspended,
    TokenRequest,
    User,
    UserCommand,
)

__all__ = ["RESET_AGAIN_AFTER", "USER", "VERIFICATIONS_MAX", "no_such_user"]

N = TypeVar("N", bound=UserNotice)
T = TypeVar("T", bound=TokenNotice)
VERIFICATIONS_MAX = 10
"""Verification mails to an address that does not answer: it may belong to somebody else."""
RESET_AGAIN_AFTER = timedelta(minutes=1)
TOKEN_EXPIRED = Rejected("token-expired", "The token has expired. Request another one.")
NOT_ACTIVE = Rejected("user-not-active", "The e-mail address is not verified yet. Activate the account first.")

# Decide


def decide(command: UserCommand, user: User) -> Decision:
    """The events of a command; a repeated command has none."""
    match command:
        case Register():
            return _register(command) if isinstance(user, NoUser) else []
        case RequestVerification() | Activate():
            return _verify(command, user)
        case ChangeProfile() | ChangePreferences():
            return _change(command, user)
        case ChangePassword() | ResetPassword():
            return _set_password(command, user)
        case RequestReset():
            return _request_reset(command, user)
        case InviteStaff():
            return _invite(command, user)
        case ChangeRole():
            return _change_role(command, user)
        case Suspend() | Reinstate():
            return _suspend_or_reinstate(command, user)
        case Delete():
            return _delete(command, user)
        case SendScheduledMail():
            return _send_mail(command, user)
        case _:
            assert_never(command)


def _register(command: Register) -> Decision:
    user_id, email, profile = command.user_id, command.email, command.profile
    welcome, follow_up = WelcomeDue(user_id=user_id), FollowUpDue(user_id=user_id)
    return [
        UserRegistered.of(profile, user_id=user_id, email=email, newsletter=command.newsletter),
        _with_token(VerificationRequested, command, email, profile.name),
        TimerRequested.publishing(_timer_id(user_id, "welcome_tips"), command.welcome_at, welcome),
        TimerRequested.publishing(_timer_id(user_id, "follow_up"), command.follow_up_at, follow_up),
    ]


def _with_token(kind: type[T], command: TokenRequest, email: str, name: str, **more: object) -> T:
    """The notice `kind`, whose mail has the token of the command."""
    notice = {"user_id": command.user_id, "email": email, "name": name, "notice_id": command.notice_id}
    return kind.model_validate({**notice, "requested_at": command.at, "expires_at": command.expires_at, **more})


def _notice(kind: type[N], user_id: str, person: Person, notice_id: str) -> N:
    fields = {"user_id": user_id, "email": person.email, "name": person.profile.name, "notice_id": notice_id}
    return kind.model_validate(fields)


def _timer_id(user_id: str, mail: ScheduledMail) -> str:
    return f"users-{mail}-{user_id}"


def _verify(command: RequestVerification | Activate, user: User) -> Decision:
    match command, user:
        case _, NoUser() | Deleted():
            return no_such_user()
        case _, Active() | Suspended():
            return Rejected("user-already-active", "The e-mail address is verified already. Log in.")
        case RequestVerification(), Pending():
            return _verify_again(command, user)
        case Activate(), Pending(person=person, verification=open_) if open_ and open_.notice_id == command.notice_id:
            if command.at >= open_.expires_at:
                return TOKEN_EXPIRED
            return _activated(command, person)
        case Activate(), Pending():
            return Rejected("token-replaced", "A newer token was mailed. Use that one.")


def _verify_again(command: RequestVerification, user: Pending) -> Decision:
    if user.verification and user.verification.notice_id == command.notice_id:
        return []
    if user.verifications >= VERIFICATIONS_MAX:
        detail = f"Nobody used the token in {VERIFICATIONS_MAX} mails to this address. Register with another address."
        return Rejected("too-many-mails", detail)
    return [_with_token(VerificationRequested, command, user.person.email, user.person.profile.name)]


def _activated(command: Activate | ResetPassword, person: Person) -> list[Message]:
    """Activates the account and publishes its preferences for notifications."""
    return [
        _notice(UserActivated, command.user_id, person, "activated"),
        PreferencesChanged.of(person.preferences, user_id=command.user_id),
    ]


def _change(command: ChangeProfile | ChangePreferences, user: User) -> Decision:
    if isinstance(user, NoUser | Deleted):
        return no_such_user()
    if isinstance(user, Suspended):
        return _suspended()
    match command:
        case ChangeProfile(changes=changes):
            before, after = user.person.profile, user.person.profile.model_copy(update=changes)
            return [] if after == before else [ProfileChanged.of(after, user_id=command.user_id)]
        case ChangePreferences(changes=changes):
            before, after = user.person.preferences, user.person.preferences.model_copy(update=changes)
            return [] if after == before else [PreferencesChanged.of(after, user_id=command.user_id)]


def _set_password(command: ChangePassword | ResetPassword, user: User) -> Decision:
    if isinstance(user, NoUser | Deleted):
        return no_such_user()
    if user.person.password_change == command.notice_id:
        return []
    person = user.person
    match command, user:
        case _, Suspended():
            return _suspended()
        case ChangePassword(), Active():
            return [_notice(PasswordChanged, command.user_id, person, command.notice_id)]
        case ChangePassword(), Pending():
            return NOT_ACTIVE
        case ResetPassword(reset_id=reset_id), _:
            return _set_with_token(command, user, _open_notice(person, reset_id))


def _open_notice(person: Person, notice_id: str) -> TokenNotice | None:
    """The open reset or invitation with this id."""
    return next((each for each in (person.reset, person.invitation) if each and each.notice_id == notice_id), None)


def _set_with_token(command: ResetPassword, user: Pending | Active, notice: TokenNotice | None) -> Decision:
    """The token proves that the user owns the address; that of an invitation accepts it, too."""
    if notice is None:
        return Rejected("token-used", "This token was used, or a newer one was mailed. Request another one.")
    if command.at >= notice.expires_at:
        return TOKEN_EXPIRED
    activated = _activated(command, user.person) if isinstance(user, Pending) else []
    joined = [_role(command.user_id, notice.role)] if isinstance(notice, StaffInvited) else []
    return [*activated, _notice(PasswordChanged, command.user_id, user.person, command.notice_id), *joined]


def _request_reset(command: RequestReset, user: User) -> Decision:
    if not isinstance(user, Pending | Active):
        return []  # the answer must not reveal whether there is an account
    person, last = user.person, user.person.reset
    if last and (last.notice_id == command.notice_id or command.at < last.requested_at + RESET_AGAIN_AFTER):
        return []
    return [_with_token(PasswordResetRequested, command, person.email, person.profile.name)]


def _invite(command: InviteStaff, user: User) -> Decision:
    match user:
        case NoUser():
            account = UserRegistered(user_id=command.user_id, email=command.email, name=command.name)
            return [account, _with_token(StaffInvited, command, command.email, command.name, role=command.role)]
        case Deleted():
            return no_such_user()
        case Suspended():
            return _suspended()
        case Pending(person=person) | Active(person=person):
            if person.staff_role == command.role:
                return Rejected("already-staff", f"This user has the role {command.role} already.", field="role")
            if person.invitation and person.invitation.notice_id == command.notice_id:
                return []
            return [_with_token(StaffInvited, command, person.email, person.profile.name, role=command.role)]
        case _:
            assert_never(user)


def _change_role(command: ChangeRole, user: User) -> Decision:
    if isinstance(user, NoUser | Deleted) or not (user.person.staff_role or user.person.invitation):
        return Rejected("staff-not-found", "No member of the staff has this id.", missing=True)
    if command.role is None:
        return [_role(command.user_id, None)]
    if user.person.staff_role is None:
        return Rejected(
            "not-accepted", "The invitation is not accepted yet. Invite the person again for the other role."
        )
    return [] if command.role == user.person.staff_role else [_role(command.user_id, command.role)]


def _role(user_id: str, role: StaffRole | None) -> StaffRoleChanged:
    return StaffRoleChanged(user_id=user_id, role=role)


def _suspend_or_reinstate(command: Suspend | Reinstate, user: User) -> Decision:
    match command, user:
        case _, NoUser() | Deleted():
            return no_such_user()
        case _, Pending():
            return NOT_ACTIVE
        case Suspend(reason=reason), Active():
            return [UserSuspended(user_id=command.user_id, reason=reason)]
        case Reinstate(), Suspended():
            return [UserReinstated(user_id=command.user_id)]
        case Suspend(), Suspended():
            return []
        case Reinstate(), Active():
            return []


def _delete(command: Delete, user: User) -> Decision:
    match user:
        case NoUser():
            return no_such_user()
        case Deleted():
            return []
        case Pending() | Active() | Suspended():
            waiting: list[ScheduledMail] = [mail for mail in _SCHEDULED_MAILS if mail not in user.person.mailed]
            cancelled = [
                TimerCancelled(timer_id=_timer_id(command.user_id, mail), timer_key=command.user_id) for mail in waiting
            ]
            return [UserDeleted(user_id=command.user_id), *cancelled]
        case _:
            assert_never(user)


def _send_mail(command: SendScheduledMail, user: User) -> Decision:
    if not isinstance(user, Pending | Active) or command.mail in user.person.mailed:
        return []
    person = user.person
    if not person.preferences.notifications:
        return []
    if command.mail == "welcome_tips":
        return [_notice(WelcomeTipsSend, command.user_id, person, command.mail)]
    # only to a verified address: somebody else may have registered an unverified one
    wanted = person.preferences.newsletter and isinstance(user, Active)
    return [_notice(FollowUpSend, command.user_id, person, command.mail)] if wanted else []


def no_such_user() -> Rejected:
    """The rejection for a user who does not exist or was deleted."""
    return Rejected("user-not-found", "There is no such user.", missing=True)


def _suspended() -> Rejected:
    return Rejected("user-suspended", "The account is suspended. Only staff can reinstate it.")


def evolve(user: User, event: Message) -> User:
    """The user after an event."""
    match event:
        case UserRegistered():
            preferences = PreferenceFields(notifications=True, newsletter=event.newsletter)
            return Pending(Person(event.email, ProfileFields.of(event), preferences))
        case UserDeleted():
            return Deleted()
        case _ if isinstance(user, NoUser | Deleted):
            return user
        case VerificationRequested():
            return Pending(user.person, event, user.verifications + 1) if isinstance(user, Pending) else user
        case UserActivated() | UserReinstated():
            return Active(user.person)
        case UserSuspended():
            return Suspended(user.person)
        case _:
            return replace(user, person=_person(user.person, event))


def _person(person: Person, event: Message) -> Person:
    match event:
        case ProfileChanged():
            return replace(person, profile=ProfileFields.of(event))
        case PreferencesChanged():
            return replace(person, preferences=PreferenceFields.of(event))
        case PasswordResetRequested():
            return replace(person, reset=event)
        case PasswordChanged(notice_id=notice_id):
            return replace(person, reset=None, password_change=notice_id)
        case StaffInvited():
            return replace(person, invitation=event)
        case StaffRoleChanged(role=role):
            return replace(person, staff_role=role, invitation=None)
        case WelcomeTipsSend():
            return replace(person, mailed=person.mailed | {"welcome_tips"})
        case FollowUpSend():
            return replace(person, mailed=person.mailed | {"follow_up"})
        case _:
            return person


_SCHEDULED_MAILS: Sequence[ScheduledMail] = ("welcome_tips", "follow_up")
_EVENTS: Sequence[type[Message]] = (
    UserRegistered, VerificationRequested, UserActivated, ProfileChanged, PreferencesChanged, PasswordChanged,
    PasswordResetRequested, UserSuspended, UserReinstated, UserDeleted, WelcomeTipsSend, FollowUpSend,
    TimerRequested, TimerCancelled, StaffInvited, StaffRoleChanged,
)  # fmt: skip

USER: Decider[UserCommand, User] = Decider("user", NoUser(), decide, evolve, tuple(_EVENTS))
