"""A participant of a saga: a service that handles the requests of a step, and calls a port where it must.

The service says in one pure function, `answer`, what each request means in each state: the reply is known, or the
request is refused, or a port (a payment provider, a carrier) has to be called first. The rules of all participants
stand here:

- A request that expired begins nothing new, and is refused. An undo is carried out however late it comes.
- A port that fails turns into a reply that says whether another attempt may succeed.
- The participant decides on the state after the call. If another request changed the state meanwhile, so that a
  different call is needed, the reply is a transient failure, and the saga requests again.
- Each attempt gets one reply that ends it. A request for what was done before gets the same reply again. Before that
  reply a participant that needs long replies by when it will reply (`answer_by`). After it, a participant whose undo
  turns out to be undone itself (a refund that fails later) replies once more, with a failure.

`services.kit.events.participant` loads the state, calls the port and records the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from services.kit.domain.decider import Command
from services.kit.domain.message import Message
from services.kit.saga.messages import ReplyTo, StepMessage, StepReply, StepRequest

__all__ = [
    "CallFirst",
    "Called",
    "Failure",
    "HandleRequest",
    "Participant",
    "PortCall",
    "Refusal",
    "customer_of",
    "failed",
    "reply_to",
]


class PortCall(Protocol):
    """A call of a port; `verb` and the id of the saga make its idempotency key."""

    @property
    def verb(self) -> str:
        """The action that the port carries out."""
        ...


Req = TypeVar("Req", bound=StepRequest)
Rep = TypeVar("Rep", bound=StepReply)
S = TypeVar("S")
C = TypeVar("C", bound=PortCall)
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Refusal:
    """The state of the participant does not allow the request; another attempt would be refused too."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The port did not carry out a call; `transient` if another attempt may succeed."""

    code: str
    detail: str
    transient: bool


@dataclass(frozen=True, slots=True)
class CallFirst(Generic[C, R]):
    """The port has to be called; `reply` makes the reply from its result."""

    call: C
    reply: Callable[[R], StepReply]


@dataclass(frozen=True, slots=True)
class Called(Generic[C, R]):
    """A call that was made, and its result."""

    call: C
    result: R | Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class HandleRequest(Command, Generic[Req, C, R]):
    """Reply to a request; `called` is the call that it needed, if it needed one."""

    request: Req
    expired: bool = False
    called: Called[C, R] | None = None


EXPIRED = Refusal("request-expired", "the request came too late")
STATE_CHANGED = Failure("state-changed", "another request was handled meanwhile", transient=True)


@dataclass(frozen=True)
class Participant(Generic[Req, S, C, R]):
    """The part of a service in a saga: its requests, replies and decisions.

    `refused` is the type of the reply to a request that is refused; `failed` makes the reply after a port failed.
    """

    requests: tuple[type[Req], ...]
    answer: Callable[[Req, S], StepReply | Refusal | CallFirst[C, R]]
    refused: type[StepReply]
    failed: Callable[[Req, Failure], StepReply]

    def call_for(self, request: Req, expired: bool, state: S) -> C | None:
        """The call that the request needs in this state; None if the reply does not depend on the port."""
        answer = self._answer(request, expired, state)
        return answer.call if isinstance(answer, CallFirst) else None

    def decide(self, command: HandleRequest[Req, C, R], state: S) -> Sequence[StepReply]:
        """The reply to a request."""
        return [_with_shared_fields(self._reply(command, state), command.request)]

    def _reply(self, command: HandleRequest[Req, C, R], state: S) -> StepReply:
        request, called = command.request, command.called
        answer = self._answer(request, command.expired, state)
        if isinstance(answer, StepReply):
            return answer
        if isinstance(answer, Refusal):
            return failed(self.refused, request, Failure(answer.code, answer.detail, transient=False))
        if called is None or called.call != answer.call:
            return self.failed(request, STATE_CHANGED)
        if isinstance(called.result, Failure):
            return self.failed(request, called.result)
        return answer.reply(called.result)

    def _answer(self, request: Req, expired: bool, state: S) -> StepReply | Refusal | CallFirst[C, R]:
        answer = self.answer(request, state)
        begins = isinstance(answer, CallFirst) and not request.undo
        return EXPIRED if expired and begins else answer


def _with_shared_fields(reply: StepReply, request: StepRequest) -> StepReply:
    """The reply with the own fields of the request that its type has too and that the answer left out."""
    own = type(request).model_fields.keys() - StepRequest.model_fields.keys()
    names = type(reply).model_fields.keys() & own - reply.model_fields_set
    return reply.model_copy(update={name: getattr(request, name) for name in names}) if names else reply


def customer_of(messages: Iterable[Message]) -> str | None:
    """The customer whose request the participant answered in these messages; None for a guest."""
    return next((found for message in messages if (found := getattr(message, "customer_id", None))), None)


def reply_to(request: StepMessage) -> ReplyTo:
    """The fields that name the request which a reply answers; for a reply, they name the request that it answered."""
    return {
        "saga_id": request.saga_id,
        "step": request.step,
        "undo": request.undo,
        "attempt": request.attempt,
    }


def failed(reply: type[Rep], request: StepRequest | StepReply, failure: Failure, **fields: object) -> Rep:
    """A reply with the failure; `fields` are those of this type of reply beside those of every reply."""
    why = {"transient": failure.transient, "error_code": failure.code, "error": failure.detail}
    return reply.model_validate({**reply_to(request), "success": False, **why, **fields})
