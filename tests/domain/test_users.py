"""The rules of accounts, by examples and by random commands against a model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.contracts.scheduler import TimerCancelled, TimerRequested
from services.contracts.users import (
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    PreferencesChanged,
    ProfileFields,
    UserActivated,
    UserDeleted,
    VerificationRequested,
    WelcomeTipsSend,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.message import Message
from services.kit.testing import assert_idempotent
from services.users.account import (
    Activate,
    Active,
    ChangePassword,
    ChangePreferences,
    ChangeProfile,
    Delete,
    Deleted,
    Pending,
    Register,
    Reinstate,
    RequestReset,
    RequestVerification,
    ResetPassword,
    SendScheduledMail,
    Suspend,
    Suspended,
    User,
    UserCommand,
)
from services.users.domain import RESET_AGAIN_AFTER, USER, VERIFICATIONS_MAX
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ID: dict[str, Any] = {"at": AT, "user_id": "usr_1"}
REGISTER = Register(
    **ID,
    email="ann@example.com",
    profile=ProfileFields(name="Ann", role="buyer"),
    newsletter=True,
    notice_id="v0",
    expires_at=AT + DAY,
    welcome_at=AT + timedelta(minutes=5),
    follow_up_at=AT + 3 * DAY,
)
RESET = RequestReset(**ID, notice_id="r1", expires_at=AT + DAY)


def after(*commands: UserCommand) -> User:
    state: User = USER.initial
    for command in commands:
        state = assert_idempotent(USER, command, state)
    return state


def said(command: UserCommand, state: User) -> list[type[Message]]:
    decision = USER.decide(command, state)
    assert not isinstance(decision, Rejected), decision
    return [type(event) for event in decision]


def refusal(command: UserCommand, state: User) -> str:
    decision = USER.decide(command, state)
    assert isinstance(decision, Rejected), decision
    return decision.code


ACTIVATE = Activate(**ID, notice_id="v0")


def test_registration_requests_a_mail_and_two_timers():
    decision = USER.decide(REGISTER, USER.initial)
    assert not isinstance(decision, Rejected)
    timers = [event for event in decision if isinstance(event, TimerRequested)]
    assert [(timer.message_type.split(".")[-2], timer.due_at - AT) for timer in timers] == [
        ("welcome_due", timedelta(minutes=5)),
        ("follow_up_due", 3 * DAY),
    ]
    assert isinstance(decision[1], VerificationRequested)
    assert isinstance(after(REGISTER), Pending)


def test_activation_publishes_the_preferences():
    assert said(ACTIVATE, after(REGISTER)) == [UserActivated, PreferencesChanged]
    assert isinstance(after(REGISTER, ACTIVATE), Active)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (Activate(**ID, notice_id="other"), "token-replaced"),
        (Activate(at=AT + DAY, user_id="usr_1", notice_id="v0"), "token-expired"),
        (ChangePassword(**ID, notice_id="p1"), "user-not-active"),
        (Suspend(**ID, reason="x"), "user-not-active"),
        (ResetPassword(**ID, reset_id="r1", notice_id="p1"), "token-used"),
    ],
)
def test_what_a_pending_account_refuses(command, code):
    assert refusal(command, after(REGISTER)) == code


def test_a_new_verification_token_replaces_the_first():
    state = after(REGISTER, RequestVerification(**ID, notice_id="v1", expires_at=AT + DAY))
    assert refusal(ACTIVATE, state) == "token-replaced"
    assert said(Activate(**ID, notice_id="v1"), state) == [UserActivated, PreferencesChanged]


def test_an_unverified_address_gets_a_limited_number_of_mails():
    asked = [RequestVerification(**ID, notice_id=f"v{n}", expires_at=AT + DAY) for n in range(1, VERIFICATIONS_MAX + 1)]
    assert refusal(asked[-1], after(REGISTER, *asked[:-1])) == "too-many-mails"


def test_a_reset_token_works_once_and_can_be_requested_again_after_a_minute():
    state = after(REGISTER, ACTIVATE, RESET)
    soon = RequestReset(at=AT + RESET_AGAIN_AFTER / 2, user_id="usr_1", notice_id="r2", expires_at=AT + DAY)
    later = RequestReset(at=AT + RESET_AGAIN_AFTER, user_id="usr_1", notice_id="r2", expires_at=AT + DAY)
    assert said(soon, state) == []
    assert said(later, state) == [PasswordResetRequested]
    use = ResetPassword(**ID, reset_id="r1", notice_id="p1")
    assert said(use, state) == [PasswordChanged]
    assert (
        refusal(ResetPassword(**ID, reset_id="r1", notice_id="p2"), after(REGISTER, ACTIVATE, RESET, use))
        == "token-used"
    )
    assert refusal(ResetPassword(at=AT + DAY, user_id="usr_1", reset_id="r1", notice_id="p1"), state) == "token-expired"


def test_the_owner_of_the_mailbox_can_take_over_an_account_made_by_somebody_else():
    use = ResetPassword(**ID, reset_id="r1", notice_id="p1")
    assert said(use, after(REGISTER, RESET)) == [UserActivated, PreferencesChanged, PasswordChanged]
    assert isinstance(after(REGISTER, RESET, use), Active)


@pytest.mark.parametrize("state", [USER.initial, after(REGISTER, Delete(**ID))])
def test_a_reset_request_does_not_reveal_an_account(state):
    assert said(RESET, state) == []


def test_scheduled_mails_are_sent_once_to_users_who_accept_them():
    welcome, follow_up = SendScheduledMail(**ID, mail="welcome_tips"), SendScheduledMail(**ID, mail="follow_up")
    quiet = ChangePreferences(**ID, changes={"notifications": False})
    no_news = ChangePreferences(**ID, changes={"newsletter": False})
    state = after(REGISTER, ACTIVATE)
    assert said(welcome, state) == [WelcomeTipsSend]
    assert said(follow_up, state) == [FollowUpSend]
    assert said(welcome, after(REGISTER, ACTIVATE, welcome)) == []
    assert said(welcome, after(REGISTER)) == [WelcomeTipsSend]
    assert said(follow_up, after(REGISTER)) == []
    for mail in (welcome, follow_up):
        assert said(mail, after(REGISTER, ACTIVATE, quiet)) == []
        assert said(mail, after(REGISTER, ACTIVATE, Suspend(**ID, reason="x"))) == []
        assert said(mail, after(REGISTER, Delete(**ID))) == []
    assert said(follow_up, after(REGISTER, ACTIVATE, no_news)) == []
    assert said(welcome, after(REGISTER, ACTIVATE, no_news)) == [WelcomeTipsSend]


def test_deletion_cancels_the_scheduled_mails_that_were_not_sent():
    assert said(Delete(**ID), after(REGISTER)) == [UserDeleted, TimerCancelled, TimerCancelled]
    assert said(Delete(**ID), after(REGISTER, SendScheduledMail(**ID, mail="welcome_tips"))) == [
        UserDeleted,
        TimerCancelled,
    ]


def test_commands_on_a_deleted_user_are_rejected_as_unknown():
    state = after(REGISTER, ACTIVATE, Delete(**ID))
    for command in (
        ACTIVATE,
        ChangePassword(**ID, notice_id="p"),
        ChangeProfile(**ID, changes={}),
        Suspend(**ID, reason="x"),
    ):
        assert refusal(command, state) == "user-not-found"


class Life(RuleBasedStateMachine):
    """Any commands in any order; the model has the status, the open tokens and the sent mails."""

    def __init__(self) -> None:
        super().__init__()
        self.state: User = USER.initial
        self.status = "nobody"
        self.now = AT
        self.verification = ("", AT)
        self.reset = ("", AT)
        self.mails: list[str] = []
        self.numbers = 0

    def do(self, command: UserCommand) -> list[str]:
        decision = USER.decide(command, self.state)
        self.state = assert_idempotent(USER, command, self.state)
        if isinstance(decision, Rejected):
            return ["refused"]
        for event in decision:
            assert type(event).read(event.write()) == event
        self.mails += [type(e).__name__ for e in decision if isinstance(e, WelcomeTipsSend | FollowUpSend)]
        return [type(event).__name__ for event in decision]

    @property
    def common(self) -> dict[str, Any]:
        return {"at": self.now, "user_id": "usr_1"}

    def fresh(self) -> str:
        self.numbers += 1
        return f"n{self.numbers}"

    @initialize()
    def register(self) -> None:
        self.do(REGISTER)
        self.status, self.verification = "pending", ("v0", AT + DAY)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def ask_for_verification(self) -> None:
        notice = self.fresh()
        if self.do(RequestVerification(**self.common, notice_id=notice, expires_at=self.now + DAY)) != ["refused"]:
            assert self.status == "pending"
            self.verification = (notice, self.now + DAY)

    @rule(right=st.booleans())
    def activate(self, right: bool) -> None:
        notice, expires_at = self.verification
        done = self.do(Activate(**self.common, notice_id=notice if right else "wrong"))
        works = right and self.status == "pending" and self.now < expires_at
        assert (done != ["refused"]) == works
        self.status = "active" if works else self.status

    @rule()
    def ask_for_reset(self) -> None:
        notice = self.fresh()
        if self.do(RequestReset(**self.common, notice_id=notice, expires_at=self.now + DAY)):
            assert self.status in ("pending", "active")
            self.reset = (notice, self.now + DAY)

    @rule(right=st.booleans())
    def reset_password(self, right: bool) -> None:
        notice, expires_at = self.reset
        done = self.do(ResetPassword(**self.common, reset_id=notice if right else "wrong", notice_id=self.fresh()))
        works = bool(right and notice and self.status in ("pending", "active") and self.now < expires_at)
        assert (done != ["refused"]) == works
        if works:
            self.status, self.reset = "active", ("", AT)

    @rule()
    def change_password(self) -> None:
        works = self.do(ChangePassword(**self.common, notice_id=self.fresh())) != ["refused"]
        assert works == (self.status == "active")
        self.reset = ("", AT) if works else self.reset

    @rule(notifications=st.booleans(), newsletter=st.booleans())
    def prefer(self, notifications: bool, newsletter: bool) -> None:
        changes = {"notifications": notifications, "newsletter": newsletter}
        works = self.do(ChangePreferences(**self.common, changes=changes)) != ["refused"]
        assert works == (self.status in ("pending", "active"))

    @rule(name=st.sampled_from(["Ann", "Bea"]), age=st.none() | st.integers(18, 120))
    def change_profile(self, name: str, age: int | None) -> None:
        works = self.do(ChangeProfile(**self.common, changes={"name": name, "age": age})) != ["refused"]
        assert works == (self.status in ("pending", "active"))

    @rule(mail=st.sampled_from(["welcome_tips", "follow_up"]))
    def tell(self, mail: Any) -> None:
        told = self.do(SendScheduledMail(**self.common, mail=mail))
        assert not told or self.status in ("pending", "active")

    @rule()
    def suspend(self) -> None:
        works = self.do(Suspend(**self.common, reason="x")) != ["refused"]
        assert works == (self.status in ("active", "suspended"))
        self.status = "suspended" if works else self.status

    @rule()
    def reinstate(self) -> None:
        works = self.do(Reinstate(**self.common)) != ["refused"]
        assert works == (self.status in ("active", "suspended"))
        self.status = "active" if works else self.status

    @precondition(lambda self: self.numbers > 3)
    @rule()
    def delete(self) -> None:
        self.do(Delete(**self.common))
        self.status = "deleted"

    @invariant()
    def status_is_as_the_model_says(self) -> None:
        kinds = {"nobody": type(USER.initial), "pending": Pending, "active": Active, "suspended": Suspended}
        assert isinstance(self.state, kinds.get(self.status, Deleted))

    @invariant()
    def no_letter_goes_out_twice(self) -> None:
        assert len(self.mails) == len(set(self.mails))


Life.TestCase.settings = settings(
    max_examples=examples(150), stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLife = Life.TestCase
