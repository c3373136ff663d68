"""The rules of accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.contracts.users import (
    FollowUpDue,
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    PreferencesChanged,
    ProfileChanged,
    UserActivated,
    UserDeleted,
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
    Delete,
    Deleted,
    NoUser,
    Pending,
    Person,
    Preferences,
    Profile,
    Register,
    Reinstate,
    RequestReset,
    RequestVerification,
    ResetPassword,
    ScheduledMail,
    SendScheduledMail,
    Suspend,
    Suspended,
    User,
    UserCommand,
)

__all__ = ["RESET_AGAIN_AFTER", "USER", "VERIFICATIONS_MAX", "no_such_user"]

VERIFICATIONS_MAX = 10
"""Verification mails to an address that does not answer: it may belong to somebody else."""
RESET_AGAIN_AFTER = timedelta(minutes=1)

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
        case Suspend() | Reinstate():
            return _suspend_or_reinstate(command, user)
        case Delete():
            return _delete(command, user)
        case SendScheduledMail():
            return _send_mail(command, user)
        case _:
            assert_never(command)


def _register(command: Register) -> Decision:
    user_id, profile = command.user_id, command.profile
    welcome, follow_up = WelcomeDue(user_id=user_id), FollowUpDue(user_id=user_id)
    return [
        UserRegistered(
            user_id=user_id,
            email=command.email,
            newsletter=command.newsletter,
            name=profile.name,
            company=profile.company,
            role=profile.role,
            phone=profile.phone,
            age=profile.age,
        ),
        _verification(command, command.email, profile.name),
        _timer(user_id, "welcome_tips", welcome, command.welcome_at),
        _timer(user_id, "follow_up", follow_up, command.follow_up_at),
    ]


def _verification(command: Register | RequestVerification, email: str, name: str) -> VerificationRequested:
    return VerificationRequested(
        user_id=command.user_id,
        email=email,
        name=name,
        notice_id=command.notice_id,
        requested_at=command.at,
        expires_at=command.expires_at,
    )


def _timer(user_id: str, mail: ScheduledMail, message: Message, due_at: datetime) -> TimerRequested:
    return TimerRequested(
        timer_id=_timer_id(user_id, mail),
        timer_key=user_id,
        due_at=due_at,
        message_type=message.type,
        message=message.model_dump(mode="json"),
    )


def _timer_id(user_id: str, mail: ScheduledMail) -> str:
    return f"users-{mail}-{user_id}"


def _verify(command: RequestVerification | Activate, user: User) -> Decision:
    match command, user:
        case _, NoUser() | Deleted():
            return no_such_user()
        case _, Active() | Suspended():
            return Rejected("user-already-active", "the e-mail address is verified already")
        case RequestVerification(), Pending():
            return _verify_again(command, user)
        case Activate(), Pending(person=person, verification=open_) if open_ and open_.notice_id == command.notice_id:
            if command.at >= open_.expires_at:
                return Rejected("token-expired", "the token has expired: ask for another one")
            return _activated(command, person)
        case Activate(), Pending():
            return Rejected("token-replaced", "a newer token was mailed: use that one")


def _verify_again(command: RequestVerification, user: Pending) -> Decision:
    if user.verification and user.verification.notice_id == command.notice_id:
        return []
    if user.verifications >= VERIFICATIONS_MAX:
        return Rejected(
            "too-many-mails", f"{VERIFICATIONS_MAX} mails to this address were not answered: register with another one"
        )
    return [_verification(command, user.person.email, user.person.profile.name)]


def _activated(command: Activate | ResetPassword, person: Person) -> list[Message]:
    """Activates the account and publishes its preferences for notifications."""
    return [
        UserActivated(user_id=command.user_id, email=person.email, name=person.profile.name, notice_id="activated"),
        _preferences(command.user_id, person.preferences),
    ]


def _preferences(user_id: str, preferences: Preferences) -> PreferencesChanged:
    return PreferencesChanged(
        user_id=user_id, notifications=preferences.notifications, newsletter=preferences.newsletter
    )


def _change(command: ChangeProfile | ChangePreferences, user: User) -> Decision:
    if isinstance(user, NoUser | Deleted):
        return no_such_user()
    if isinstance(user, Suspended):
        return _suspended()
    match command:
        case ChangeProfile(changes=changes):
            profile = replace(user.person.profile, **changes)
            return [] if profile == user.person.profile else [_profile(command.user_id, profile)]
        case ChangePreferences(changes=changes):
            preferences = replace(user.person.preferences, **changes)
            return [] if preferences == user.person.preferences else [_preferences(command.user_id, preferences)]


def _profile(user_id: str, profile: Profile) -> ProfileChanged:
    return ProfileChanged(
        user_id=user_id,
        name=profile.name,
        company=profile.company,
        role=profile.role,
        phone=profile.phone,
        age=profile.age,
    )


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
            return [_password_changed(command, person)]
        case ChangePassword(), Pending():
            return Rejected("user-not-active", "the e-mail address is not verified")
        case ResetPassword(reset_id=reset_id), _ if person.reset is None or person.reset.notice_id != reset_id:
            return Rejected("token-used", "this token was used, or a newer one was mailed")
        case ResetPassword(), _ if person.reset and command.at >= person.reset.expires_at:
            return Rejected("token-expired", "the token has expired: ask for another one")
        case ResetPassword(), Pending():  # the token proves that the user owns the address
            return [*_activated(command, person), _password_changed(command, person)]
        case ResetPassword(), Active():
            return [_password_changed(command, person)]


def _password_changed(command: ChangePassword | ResetPassword, person: Person) -> PasswordChanged:
    return PasswordChanged(
        user_id=command.user_id, email=person.email, name=person.profile.name, notice_id=command.notice_id
    )


def _request_reset(command: RequestReset, user: User) -> Decision:
    if not isinstance(user, Pending | Active):
        return []  # the answer must not reveal whether there is an account
    person, last = user.person, user.person.reset
    if last and (last.notice_id == command.notice_id or command.at < last.requested_at + RESET_AGAIN_AFTER):
        return []
    return [
        PasswordResetRequested(
            user_id=command.user_id,
            email=person.email,
            name=person.profile.name,
            notice_id=command.notice_id,
            requested_at=command.at,
            expires_at=command.expires_at,
        )
    ]


def _suspend_or_reinstate(command: Suspend | Reinstate, user: User) -> Decision:
    match command, user:
        case _, NoUser() | Deleted():
            return no_such_user()
        case _, Pending():
            return Rejected("user-not-active", "the e-mail address is not verified")
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
        return [_mail(WelcomeTipsSend, command, person)]
    # only to a verified address: somebody else may have registered an unverified one
    wanted = person.preferences.newsletter and isinstance(user, Active)
    return [_mail(FollowUpSend, command, person)] if wanted else []


def _mail(kind: type[WelcomeTipsSend] | type[FollowUpSend], command: SendScheduledMail, person: Person) -> Message:
    return kind(user_id=command.user_id, email=person.email, name=person.profile.name, notice_id=command.mail)


def no_such_user() -> Rejected:
    """The rejection for a user who does not exist or was deleted."""
    return Rejected("user-not-found", "there is no such user", missing=True)


def _suspended() -> Rejected:
    return Rejected("user-suspended", "the account is suspended")


def evolve(user: User, event: Message) -> User:
    """The user after an event."""
    match event:
        case UserRegistered():
            return Pending(Person(event.email, _profile_of(event), Preferences(newsletter=event.newsletter)))
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
            return replace(person, profile=_profile_of(event))
        case PreferencesChanged(notifications=notifications, newsletter=newsletter):
            return replace(person, preferences=Preferences(notifications, newsletter))
        case PasswordResetRequested():
            return replace(person, reset=event)
        case PasswordChanged(notice_id=notice_id):
            return replace(person, reset=None, password_change=notice_id)
        case WelcomeTipsSend():
            return replace(person, mailed=person.mailed | {"welcome_tips"})
        case FollowUpSend():
            return replace(person, mailed=person.mailed | {"follow_up"})
        case _:
            return person


def _profile_of(event: UserRegistered | ProfileChanged) -> Profile:
    return Profile(event.name, event.company, event.role, event.phone, event.age)


_SCHEDULED_MAILS: Sequence[ScheduledMail] = ("welcome_tips", "follow_up")
_EVENTS: Sequence[type[Message]] = (
    UserRegistered, VerificationRequested, UserActivated, ProfileChanged, PreferencesChanged, PasswordChanged,
    PasswordResetRequested, UserSuspended, UserReinstated, UserDeleted, WelcomeTipsSend, FollowUpSend,
    TimerRequested, TimerCancelled,
)  # fmt: skip

USER: Decider[UserCommand, User] = Decider("user", NoUser(), decide, evolve, tuple(_EVENTS))
