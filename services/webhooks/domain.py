"""The endpoints of other programs: registered, changed, tested, switched off and removed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal, TypeAlias, assert_never

from services.contracts.webhooks import (
    EndpointChanged,
    EndpointCreated,
    EndpointDeleted,
    EndpointDisabled,
    EndpointFields,
    EndpointTested,
    SecretRotated,
)
from services.kit.domain.decider import Command, Decider, Decision, Rejected
from services.kit.domain.message import Message

__all__ = [
    "ENDPOINT", "Change", "Create", "Delete", "Disable", "Endpoint", "EndpointCommand", "NoEndpoint", "Rotate",
    "State", "Test",
]  # fmt: skip

BY_HAND = "it was switched off by hand"
OWNER_GONE = "the client or person that registered it has no access any more: take it over with `active` and `types`"


@dataclass(frozen=True, slots=True)
class NoEndpoint:
    """It was never registered, or it was removed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint; its secret is the `secret`th, and the one before is valid until `previous_until`."""

    fields: EndpointFields
    owner: str
    scopes: tuple[str, ...]
    key_id: str
    secret: int = 1
    previous_key_id: str = ""
    previous_until: datetime | None = None
    disabled: str = ""


State: TypeAlias = NoEndpoint | Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Command):
    """Register an endpoint."""

    endpoint_id: str
    fields: EndpointFields
    owner: str
    scopes: tuple[str, ...]
    key_id: str
    contact: str | None
    """The e-mail address for the news that the endpoint is switched off; it is stored in no event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Command):
    """Replace what the endpoint receives and where; to make it active is to switch it on again."""

    endpoint_id: str
    fields: EndpointFields
    scopes: tuple[str, ...]
    contact: str | None
    contact_before: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotate(Command):
    """Give the endpoint a new secret."""

    endpoint_id: str
    key_id: str
    previous_until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Disable(Command):
    """Switch the endpoint off."""

    endpoint_id: str
    code: Literal["failing", "gone"]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Command):
    """Remove the endpoint."""

    endpoint_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Test(Command):
    """Send a test event to the endpoint."""

    endpoint_id: str


EndpointCommand: TypeAlias = Create | Change | Rotate | Disable | Delete | Test


def decide(command: EndpointCommand, state: State) -> Decision:
    """The events that a command causes."""
    match command, state:
        case Create(), NoEndpoint():
            return [
                EndpointCreated(
                    endpoint_id=command.endpoint_id, owner=command.owner, scopes=command.scopes,
                    key_id=command.key_id, **dict(command.fields),
                )
            ]  # fmt: skip
        case Create(), Endpoint():
            return []
        case ((Delete() | Disable()), NoEndpoint()):
            return []
        case ((Change() | Rotate() | Test()), NoEndpoint()):
            return Rejected("endpoint-not-found", "There is no such endpoint: it may have been removed.", missing=True)
        case Change(), Endpoint():
            return change(command, state)
        case Rotate(), Endpoint():
            return [
                SecretRotated(
                    endpoint_id=command.endpoint_id, number=state.secret + 1, key_id=command.key_id,
                    previous_until=command.previous_until,
                )
            ]  # fmt: skip
        case Disable(), Endpoint():
            if not state.fields.active:
                return []
            return [
                EndpointDisabled(
                    endpoint_id=command.endpoint_id, code=command.code, reason=command.reason, url=state.fields.url
                )
            ]
        case Delete(), Endpoint():
            return [EndpointDeleted(endpoint_id=command.endpoint_id)]
        case Test(), Endpoint():
            if not state.fields.active:
                return Rejected("endpoint-off", "The endpoint is switched off. Switch it on first.")
            return [EndpointTested(endpoint_id=command.endpoint_id)]
        case _:
            assert_never((command, state))


def change(command: Change, endpoint: Endpoint) -> Decision:
    """The change, unless everything is as before."""
    before = endpoint.fields, endpoint.scopes, command.contact_before
    if (command.fields, command.scopes, command.contact) == before:
        return []
    return [EndpointChanged(endpoint_id=command.endpoint_id, scopes=command.scopes, **dict(command.fields))]


def evolve(state: State, event: Message) -> State:
    """The endpoint after an event."""
    match event, state:
        case EndpointCreated(), _:
            fields = EndpointFields.of(event)
            return Endpoint(fields, event.owner, event.scopes, event.key_id, disabled="" if event.active else BY_HAND)
        case EndpointChanged(), Endpoint():
            return replace(
                state, fields=EndpointFields.of(event), scopes=event.scopes, disabled=_disabled(event, state)
            )
        case SecretRotated(), Endpoint():
            return replace(
                state, secret=event.number, key_id=event.key_id, previous_key_id=state.key_id,
                previous_until=event.previous_until,
            )  # fmt: skip
        case EndpointDisabled(), Endpoint():
            fields = state.fields.model_copy(update={"active": False})
            return replace(state, fields=fields, disabled=event.reason)
        case EndpointDeleted(), _:
            return NoEndpoint()
        case _:
            return state


def _disabled(event: EndpointChanged, before: Endpoint) -> str:
    """Why the endpoint is off; empty if it is on."""
    if event.active:
        return ""
    if not event.scopes:
        return OWNER_GONE
    return before.disabled or BY_HAND


ENDPOINT: Decider[EndpointCommand, State] = Decider(
    "endpoint",
    NoEndpoint(),
    decide,
    evolve,
    (EndpointCreated, EndpointChanged, SecretRotated, EndpointDisabled, EndpointDeleted, EndpointTested),
    opens=(Create,),
)
