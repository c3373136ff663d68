"""The reactions of a saga participant: load the state, call the port, record the reply. The rules are in `kit.saga`."""

from __future__ import annotations

from typing import Protocol, TypeVar

from services.kit.commands.handler import CommandHandler
from services.kit.domain.decider import Decider
from services.kit.events.handlers import Reactions, Received
from services.kit.resilience.outgoing import CallFailed
from services.kit.saga.messages import StepRequest
from services.kit.saga.participant import Called, Failure, HandleRequest, Participant, PortCall

__all__ = ["Port", "participant_reactions", "result_of"]

Req = TypeVar("Req", bound=StepRequest)
S = TypeVar("S")
C = TypeVar("C", bound=PortCall)
C_contra = TypeVar("C_contra", bound=PortCall, contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Port(Protocol[C_contra, R_co]):
    """Carries out a call for a saga; a call that is repeated with its key happens once. May raise CallFailed."""

    async def __call__(self, saga_id: str, key: str, call: C_contra, /) -> R_co | Failure:
        """The result, or why the call was not carried out."""
        ...


def participant_reactions(
    handler: CommandHandler,
    decider: Decider[HandleRequest[Req, C, R], S],
    participant: Participant[Req, S, C, R],
    port: Port[C, R],
) -> Reactions:
    """Reactions to the requests of `participant`, whose state is the aggregate that has the id of the saga."""

    async def react(request: Req, received: Received) -> None:
        saga_id = request.saga_id
        state = (await handler.reload(decider, saga_id)).state
        call = participant.call_for(request, received.expired, state)
        key = f"{saga_id}:{call.verb}" if call else ""
        called = None if call is None else Called(call, await result_of(port, saga_id, key, call))
        command = HandleRequest(at=received.now, request=request, expired=received.expired, called=called)
        await handler.handle(decider, saga_id, command, received.cause)

    reactions = Reactions()
    for request in participant.requests:
        reactions.on(request, react)
    return reactions


async def result_of(port: Port[C, R], saga_id: str, key: str, call: C) -> R | Failure:
    """The result of a call, or the failure that it raised."""
    try:
        return await port(saga_id, key, call)
    except CallFailed as error:
        return Failure(error.code, error.detail, transient=error.transient)
