"""REST of operations: read what failed, replay it or discard it."""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import Path
from pydantic import Field

from services.kit.auth.access import needs
from services.kit.domain.texts import ONE_LINE
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.bodies import RequestBody
from services.kit.rest.params import PRINTABLE, in_query
from services.operations.answers import (
    DeadLetter,
    DeadLetters,
    Discarded,
    Parked,
    ParkedAgain,
    ParkedMessages,
    Replayed,
    ReplayedMany,
    System,
    WholeDeadLetter,
)
from services.operations.letters import LETTERS_PAGE_MAX, Letter, Letters
from services.operations.overview import Overview
from services.operations.replays import Replays

__all__ = ["routes"]

routes = json_router()

LetterId = Annotated[
    str, Path(max_length=64, description="The id of the dead letter.", examples=["dl_0a1b2c3d4e5f60718293a4b5"])
]
Limit = Annotated[int, in_query("The maximum number of entries.", 50, ge=1, le=LETTERS_PAGE_MAX)]
Status = Annotated[
    Literal["waiting", "replayed", "discarded", "all"], in_query("The status of the dead letters to list.", "waiting")
]
AboutOrder = Annotated[
    str | None,
    in_query(
        "Returns messages about this order.",
        "ord_iwc61wrq2spsmypx929bhj947yw",
        alias="order_id",
        max_length=64,
        pattern=PRINTABLE,
    ),
]
AllLetters = Annotated[Letters, provided(Letters)]
AllReplays = Annotated[Replays, provided(Replays)]
TheOverview = Annotated[Overview, provided(Overview)]
DAYS_MAX = 90


class ReplayBody(RequestBody):
    """With `dry_run` the answer shows what would be replayed, and nothing is."""

    dry_run: bool = Field(default=False, strict=True)


class ReplayManyBody(ReplayBody):
    """The waiting dead letters to replay."""

    type: str | None = Field(default=None, max_length=200)
    limit: int = Field(default=100, ge=1, le=LETTERS_PAGE_MAX)


class DiscardBody(RequestBody):
    """The reason."""

    reason: str = Field(min_length=1, max_length=500, pattern=ONE_LINE)


class ParkedBody(RequestBody):
    """The parked message to replay."""

    service: str = Field(max_length=64, pattern=ONE_LINE)
    key: str = Field(max_length=4_096, pattern=ONE_LINE)


@routes.get("/dead-letters", dependencies=[needs("operations:read")])
async def list_dead_letters(
    letters: AllLetters, status: Status = "waiting", limit: Limit = 100, order_id: AboutOrder = None
) -> Answer[DeadLetters]:
    """List the dead letters.

    Lists events that the broker gave up on, the oldest first, without their data. Replay or discard each.
    """
    found = await letters.list("" if status == "all" else status, limit, order_id or "")
    return Answer(DeadLetters(dead_letters=[cast("DeadLetter", letters.shown(letter)) for letter in found]))


@routes.get("/dead-letters/{letter_id}", dependencies=[needs("operations:read")])
async def read_dead_letter(letter_id: LetterId, letters: AllLetters) -> Answer[WholeDeadLetter]:
    """Read a dead letter.

    Shows an event that the broker gave up on, with its data. Refused (404) if the dead letter does not exist.
    """
    letter = await letters.find(letter_id)
    return Answer(cast("WholeDeadLetter", letters.shown(letter, with_data=True)))


@routes.post("/dead-letters/replay", dependencies=[needs("operations:write")])
async def replay_dead_letters(body: ReplayManyBody, letters: AllLetters, replays: AllReplays) -> Answer[ReplayedMany]:
    """Replay waiting dead letters.

    Publishes the events of waiting dead letters again, of one type or of all. A service that handled an event before
    ignores the repeat.
    """
    waiting = await letters.list("waiting", body.limit, type_=body.type or "")
    done = [await _replay(letter, replays, dry_run=body.dry_run) for letter in waiting]
    return Answer(ReplayedMany(dead_letters=done))


@routes.post("/dead-letters/{letter_id}/replay", dependencies=[needs("operations:write")])
async def replay_dead_letter(
    letter_id: LetterId, body: ReplayBody, letters: AllLetters, replays: AllReplays
) -> Answer[Replayed]:
    """Replay a dead letter.

    Publishes the event of a dead letter again. First correct the cause of the failure; otherwise the event fails again.
    Refused (409) if the dead letter is discarded.
    """
    return Answer(await _replay(await letters.find(letter_id), replays, dry_run=body.dry_run))


@routes.post("/dead-letters/{letter_id}/discard", dependencies=[needs("operations:write")])
async def discard_dead_letter(letter_id: LetterId, body: DiscardBody, letters: AllLetters) -> Answer[Discarded]:
    """Discard a dead letter.

    Records that nobody will replay the event, and why. Refused (409) if the dead letter is discarded already.
    """
    letter = await letters.decide(letter_id, "discarded", body.reason)
    return Answer(Discarded(id=letter.id, status="discarded", reason=body.reason))


@routes.get("/operations/system", dependencies=[needs("operations:read")])
async def read_system(
    overview: TheOverview,
    days: Annotated[int, in_query("How many days of costs to show.", 7, ge=1, le=DAYS_MAX)] = 7,
) -> Answer[System]:
    """Read the state of the system.

    Shows which services are awake and what each did last; how far the views and their builds are behind; how many
    events wait for the relay and how many messages for webhook endpoints; parked messages and dead letters; runs by
    status, and the orders whose run is stuck; cold starts; and what each service used on each day. Wakes no other
    service.
    """
    return Answer(await overview.read(days))


@routes.get("/operations/parked", dependencies=[needs("operations:read")])
async def list_parked(replays: AllReplays, limit: Limit = 100, order_id: AboutOrder = None) -> Answer[ParkedMessages]:
    """List the parked messages.

    Lists messages that a service failed to handle five times, with their last errors. Correct the cause of each, then
    replay it.
    """
    found = await replays.parked(limit, order_id or "")
    parked: list[Parked] = [
        {
            "service": failure.service,
            "key": failure.key,
            "type": failure.attributes.get("type", ""),
            "subject": failure.attributes.get("correlationid") or failure.attributes.get("subject", ""),
            "attempts": failure.attempts,
            "last_error": failure.last_error,
            "last_at": failure.last_at,
        }
        for failure in found
    ]
    return Answer(ParkedMessages(parked=parked))


@routes.post("/operations/parked/replay", dependencies=[needs("operations:write")])
async def replay_parked(body: ParkedBody, replays: AllReplays) -> Answer[ParkedAgain]:
    """Replay a parked message.

    Publishes a parked message again and forgets its failures. Refused (404) if the service has no such parked message.
    """
    await replays.replay_parked(body.service, body.key)
    return Answer(ParkedAgain(service=body.service, key=body.key, replayed=True))


async def _replay(letter: Letter, replays: Replays, *, dry_run: bool) -> Replayed:
    if dry_run:
        replays.check(letter)
    else:
        await replays.replay(letter)
    return {"id": letter.id, "type": letter.type, "subject": letter.subject, "replayed": not dry_run}
