"""The rules of every saga participant, shown on one that switches a lamp on through a port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Literal

import pytest

from services.kit.commands.handler import Cause, CommandHandler
from services.kit.domain.decider import Decider, Rejected
from services.kit.domain.message import Message
from services.kit.events.handlers import Received
from services.kit.events.participant import participant_reactions
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark
from services.kit.privacy.vault import MemoryVault
from services.kit.resilience.outgoing import CallFailed
from services.kit.saga.messages import StepReply, StepRequest
from services.kit.saga.participant import Called, CallFirst, Failure, HandleRequest, Participant, Refusal, reply_to
from tests.sagas.test_service import Published

AT = datetime(2026, 1, 1, tzinfo=UTC)
State = Literal["off", "on", "broken"]


class SwitchOn(StepRequest):
    type: ClassVar[str] = "zerocart.test.lamp.switch_on.v1"
    room: str = ""


class SwitchOff(StepRequest):
    type: ClassVar[str] = "zerocart.test.lamp.switch_off.v1"


class Switched(StepReply):
    type: ClassVar[str] = "zerocart.test.lamp.switched.v1"
    on: bool
    room: str = ""


class NotSwitched(StepReply):
    type: ClassVar[str] = "zerocart.test.lamp.not_switched.v1"


@dataclass(frozen=True)
class Call:
    verb: str


def answer(request: SwitchOn | SwitchOff, state: State) -> StepReply | Refusal | CallFirst[Call, bool]:
    match request, state:
        case _, "broken":
            return Refusal("broken", "the lamp is broken")
        case SwitchOn(), "on":
            return Switched(**reply_to(request), on=True)
        case SwitchOn(), "off":
            return CallFirst(Call("on"), lambda on: Switched(**reply_to(request), on=on))
        case _:
            return CallFirst(Call("off"), lambda on: Switched(**reply_to(request), on=on))


def not_switched(request: SwitchOn | SwitchOff, failure: Failure) -> StepReply:
    return NotSwitched(
        **reply_to(request), success=False, transient=failure.transient, error_code=failure.code, error=failure.detail
    )


LAMP = Participant((SwitchOn, SwitchOff), answer, refused=NotSwitched, failed=not_switched)


def evolve(state: State, event: Message) -> State:
    return ("on" if event.on else "off") if isinstance(event, Switched) else state


DECIDER: Decider[HandleRequest[SwitchOn | SwitchOff, Call, bool], State] = Decider(
    "lamp", "off", LAMP.decide, evolve, (Switched, NotSwitched)
)


def switch_on(attempt: int = 1) -> SwitchOn:
    return SwitchOn(saga_id="lamp_1", step="light", attempt=attempt)


def switch_off() -> SwitchOff:
    return SwitchOff(saga_id="lamp_1", step="light", undo=True)


def reply(state: State, request: SwitchOn | SwitchOff, *, expired: bool = False, called=None) -> StepReply:
    decision = DECIDER.decide(HandleRequest(at=AT, request=request, expired=expired, called=called), state)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    assert isinstance(event, StepReply)
    return event


def test_a_reply_that_follows_from_the_state_needs_no_call() -> None:
    assert LAMP.call_for(switch_on(2), False, "on") is None
    assert reply("on", switch_on(2)) == Switched(saga_id="lamp_1", step="light", attempt=2, on=True)


def test_a_reply_repeats_the_fields_that_its_type_and_the_request_share() -> None:
    request = SwitchOn(saga_id="lamp_1", step="light", room="hall")
    assert getattr(reply("on", request), "room", None) == "hall"
    assert getattr(reply("off", request, called=Called(Call("on"), True)), "room", None) == "hall"
    assert "room" not in type(reply("broken", request)).model_fields


def test_the_result_of_the_call_makes_the_reply() -> None:
    assert LAMP.call_for(switch_on(), False, "off") == Call("on")
    assert reply("off", switch_on(), called=Called(Call("on"), True)).success


@pytest.mark.parametrize("transient", [True, False])
def test_a_failure_of_the_port_says_whether_another_attempt_may_succeed(transient: bool) -> None:
    failure = Failure("away", "the port is away", transient=transient)
    found = reply("off", switch_on(), called=Called(Call("on"), failure))
    assert (found.success, found.transient, found.error_code) == (False, transient, "away")


def test_an_expired_request_begins_nothing() -> None:
    assert LAMP.call_for(switch_on(), True, "off") is None
    found = reply("off", switch_on(), expired=True)
    assert (found.success, found.transient, found.error_code) == (False, False, "request-expired")


def test_an_expired_request_for_what_is_done_gets_its_reply() -> None:
    assert reply("on", switch_on(), expired=True).success


def test_an_undo_is_carried_out_however_late_it_comes() -> None:
    assert LAMP.call_for(switch_off(), True, "on") == Call("off")
    assert reply("on", switch_off(), expired=True, called=Called(Call("off"), False)).success


def test_a_refusal_is_final() -> None:
    found = reply("broken", switch_on())
    assert (type(found), found.success, found.transient) == (NotSwitched, False, False)


@pytest.mark.parametrize("called", [None, Called(Call("off"), False)], ids=["no call", "another call"])
def test_a_state_that_changed_during_the_call_is_a_transient_failure(called) -> None:
    found = reply("off", switch_on(), called=called)
    assert (found.success, found.transient, found.error_code) == (False, True, "state-changed")


class Port:
    """Switches at once, or fails with `error`."""

    def __init__(self, error: CallFailed | None = None) -> None:
        self.error = error
        self.keys: list[str] = []

    async def __call__(self, saga_id: str, key: str, call: Call, /) -> bool | Failure:
        self.keys.append(key)
        if self.error:
            raise self.error
        return call.verb == "on"


async def replies(port: Port, *requests: tuple[SwitchOn | SwitchOff, str]) -> list[StepReply]:
    store, published = MemoryEventStore("lamp"), Published()
    handler = CommandHandler("lamp", store, Relay(store.outbox, published), MemoryVault())
    reactions = participant_reactions(handler, DECIDER, LAMP, port)
    for request, message_id in requests:
        found = reactions.find(request.type)
        assert found is not None
        await found[1](request, Received(Cause(AT, message_id, mark=Mark(message_id)), AT, expired=False))
    history = await handler.history(DECIDER, "lamp_1")
    await handler.relay.close()
    return [event for _, event in history if isinstance(event, StepReply)]


async def test_a_call_has_a_key_of_the_saga_and_the_verb_and_its_result_is_recorded() -> None:
    port = Port()
    found = await replies(port, (switch_on(), "1"), (switch_off(), "2"))
    assert port.keys == ["lamp_1:on", "lamp_1:off"]
    assert [each.success for each in found] == [True, True]


async def test_a_request_that_is_delivered_twice_gets_one_reply() -> None:
    assert len(await replies(Port(), (switch_on(), "1"), (switch_on(), "1"))) == 1


async def test_each_attempt_gets_its_own_reply_and_the_port_is_called_once() -> None:
    port = Port()
    found = await replies(port, (switch_on(1), "1"), (switch_on(2), "2"))
    assert [each.attempt for each in found] == [1, 2]
    assert len(port.keys) == 1


async def test_a_call_that_failed_is_recorded_as_a_failure() -> None:
    (found,) = await replies(Port(CallFailed("timed-out", "no answer", transient=True)), (switch_on(), "1"))
    assert (found.success, found.transient, found.error_code) == (False, True, "timed-out")
