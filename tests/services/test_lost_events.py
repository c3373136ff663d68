"""After a restore or a failover lost events, the views that show them are built again by themselves."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from services.kit.eventstore.port import Position
from services.projection.build import build
from services.projection.views import VIEWS
from tests.conftest import execute
from tests.ports.test_epochs import ELSEWHERE
from tests.services.read_side import ReadSide, built, created, running


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def lose_after(side: ReadSide, position: Position, stream: str) -> None:
    """Lose the events after a position, which are those of `stream`, as a failover to a standby that lagged does."""
    await execute(side.database.owner_dsn, f"DELETE FROM log.events WHERE position > {int(position)}")
    await execute(side.database.owner_dsn, f"DELETE FROM orders.streams WHERE stream = '{stream}'")
    await execute(side.database.owner_dsn, ELSEWHERE)


async def orders_shown(side: ReadSide) -> set[str]:
    return {each["order_id"] for each in (await side.get("/orders"))["orders"]}


async def numbered(side: ReadSide, view: str) -> list[tuple[int, str]]:
    return [(each["version"], each["state"]) for each in await built(side.projection, view)]


async def test_every_view_that_shows_lost_events_is_built_again(side: ReadSide) -> None:
    (left,) = await side.order("ord_left", created("ord_left"))
    (lost,) = await side.order("ord_lost", created("ord_lost"))
    await side.show([lost])
    assert await orders_shown(side) == {"ord_left", "ord_lost"}
    await lose_after(side, left.position, "order-ord_lost")
    (new,) = await side.order("ord_new", created("ord_new"))
    assert new.position > lost.position
    await side.show([new])  # the views show new events while they are built again
    assert "ord_new" in await orders_shown(side)
    for view in VIEWS:
        assert (await numbered(side, view))[-1] == (2, "serving"), view
    assert await orders_shown(side) == {"ord_left", "ord_new"}
    (again,) = await side.order("ord_again", created("ord_again"))
    await side.show([again])
    assert await orders_shown(side) == {"ord_left", "ord_new", "ord_again"}
    assert (await numbered(side, "orders"))[-1] == (2, "serving")  # once


async def test_a_version_that_is_being_built_of_lost_events_begins_anew(side: ReadSide) -> None:
    (left,) = await side.order("ord_left", created("ord_left"))
    (lost,) = await side.order("ord_lost", created("ord_lost"))
    await side.show([lost])
    waits = await side.projection.post("/projection/views/orders/rebuild", json={"then": "wait"})
    assert waits.status_code == 202
    assert await numbered(side, "orders") == [(1, "serving"), (2, "building")]
    await lose_after(side, left.position, "order-ord_lost")
    (new,) = await side.order("ord_new", created("ord_new"))
    assert await build(side.projection_settings) == []  # the Job that setup starts after a restore
    assert (await numbered(side, "orders"))[-1][1] == "serving"
    assert await orders_shown(side) == {"ord_left", "ord_new"}
    await side.show([new])


async def test_an_event_that_was_lost_before_one_that_was_not_is_not_shown_for_long(side: ReadSide) -> None:
    """The reader's position exists then, so only the epoch tells that the views may show lost events."""
    (lost,) = await side.order("ord_lost", created("ord_lost"))
    (left,) = await side.order("ord_left", created("ord_left"))
    await side.show([left])
    await execute(side.database.owner_dsn, f"DELETE FROM log.events WHERE position = {int(lost.position)}")
    await lose_after(side, left.position, "order-ord_lost")
    (new,) = await side.order("ord_new", created("ord_new"))
    await side.show([new])
    for view in VIEWS:
        assert (await numbered(side, view))[-1] == (2, "serving"), view
    assert await orders_shown(side) == {"ord_left", "ord_new"}
