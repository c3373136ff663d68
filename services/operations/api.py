"""Looking at what failed, and deciding about it, over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field

from services.kit.auth.access import needs
from services.kit.domain.errors import NotFound, RuleViolation
from services.kit.events.parked import FailedMessages
from services.kit.eventstore.outbox import Publisher
from services.kit.rest.app import json_router
from services.operations.answers import (
    DISCARDED,
    LETTER,
    LETTERS,
    PARKED,
    PARKED_AGAIN,
    REPLAYED,
    REPLAYED_MANY,
)
from services.operations.letters import LETTERS_PAGE_MAX, Letter, Letters, original

__all__ = ["router"]

LetterId = Annotated[
    str, Path(max_length=64, description="The id of the letter.", examples=["dl_0a1b2c3d4e5f60718293a4b5"])
]
Limit = Annotated[int, Query(ge=1, le=LETTERS_PAGE_MAX, description="How many at most.", examples=[50])]
Status = Annotated[
    Literal["waiting", "replayed", "discarded", "all"],
    Query(description="Letters that were decided so, or not yet.", examples=["waiting"]),
]


class ReplayBody(BaseModel):
    """Whether to do it or only to say what would be done."""

    model_config = ConfigDict(extra="forbid")
    dry_run: bool = False


class ReplayManyBody(ReplayBody):
    """Which waiting letters to hand in again."""

    type: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=LETTERS_PAGE_MAX)


class DiscardBody(BaseModel):
    """Why a letter is given up."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(min_length=1, max_length=500)


class ParkedBody(BaseModel):
    """Which parked message to hand in again."""

    model_config = ConfigDict(extra="forbid")
    service: str = Field(max_length=64)
    key: str = Field(max_length=4_096)


def router(letters: Letters, parked: FailedMessages, publisher: Publisher) -> APIRouter:
    """The routes of operations."""
    routes = json_router()
    reads, writes = [needs("operations:read")], [needs("operations:write")]

    async def hand_in(letter: Letter, *, dry_run: bool) -> dict[str, Any]:
        if letter.status == "discarded":
            raise RuleViolation("dead-letter-decided", "the letter was discarded")
        if not dry_run:
            await publisher.republish(letter.key, original(letter), letter.data)
            await letters.decide(letter.id, "replayed", "handed in again")
        return {"id": letter.id, "type": letter.type, "subject": letter.subject, "replayed": not dry_run}

    @routes.get("/dead-letters", responses=LETTERS, dependencies=reads)
    async def list_dead_letters(status: Status = "waiting", limit: Limit = 100) -> dict[str, Any]:
        """Messages that a destination did not take, the oldest first, without what is in them."""
        found = await letters.list("" if status == "all" else status, limit)
        return {"dead_letters": jsonable_encoder([letter.shown() for letter in found])}

    @routes.get("/dead-letters/{letter_id}", responses=LETTER, dependencies=reads)
    async def read_dead_letter(letter_id: LetterId) -> Any:
        """One message that was not taken, with what is in it; refused if there is none."""
        return jsonable_encoder((await letters.find(letter_id)).shown(with_data=True))

    @routes.post("/dead-letters/replay", responses=REPLAYED_MANY, dependencies=writes)
    async def replay_dead_letters(body: ReplayManyBody) -> dict[str, Any]:
        """Hand in waiting messages again, of one type or of all; what was done already is not done twice."""
        waiting = await letters.list("waiting", body.limit)
        wanted = [letter for letter in waiting if body.type in (None, letter.type)]
        return {"dead_letters": [await hand_in(letter, dry_run=body.dry_run) for letter in wanted]}

    @routes.post("/dead-letters/{letter_id}/replay", responses=REPLAYED, dependencies=writes)
    async def replay_dead_letter(letter_id: LetterId, body: ReplayBody) -> dict[str, Any]:
        """Hand in one message again; refused if it was discarded."""
        return await hand_in(await letters.find(letter_id), dry_run=body.dry_run)

    @routes.post("/dead-letters/{letter_id}/discard", responses=DISCARDED, dependencies=writes)
    async def discard_dead_letter(letter_id: LetterId, body: DiscardBody) -> dict[str, Any]:
        """Give up one message for a reason; refused if it was given up before."""
        letter = await letters.decide(letter_id, "discarded", body.reason)
        return {"id": letter.id, "status": "discarded", "reason": body.reason}

    @routes.get("/operations/parked", responses=PARKED, dependencies=reads)
    async def list_parked(limit: Limit = 100) -> dict[str, Any]:
        """Messages that a service tried too often and put aside, with the last error."""
        found = await parked.list(parked_only=True, failures_max=limit)
        return {
            "parked": [
                _shown(failure.service, failure.key, failure.attempts, failure.last_error, failure.last_at)
                for failure in found
            ]
        }

    @routes.post("/operations/parked/replay", responses=PARKED_AGAIN, dependencies=writes)
    async def replay_parked(body: ParkedBody) -> dict[str, Any]:
        """Hand in a message again that a service put aside; refused if there is none."""
        found = await parked.list(parked_only=True, failures_max=LETTERS_PAGE_MAX)
        failure = next((f for f in found if (f.service, f.key) == (body.service, body.key)), None)
        if failure is None:
            raise NotFound("parked-not-found", "there is no such parked message")
        attributes = {name: value for name, value in failure.attributes.items() if not name.startswith("knative")}
        await publisher.republish(attributes.get("partitionkey", ""), attributes, failure.data)
        await parked.clear(failure.key, failure.service)
        return {"service": failure.service, "key": failure.key, "replayed": True}

    return routes


def _shown(service: str, key: str, attempts: int, error: str, at: datetime) -> dict[str, Any]:
    return {"service": service, "key": key, "attempts": attempts, "last_error": error, "last_at": at.isoformat()}
