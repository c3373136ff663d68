"""The drill of docs/operate.md for a vault key that is lost for good."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from services.kit.commands.cause import Cause
from services.kit.commands.stamping import stamped
from services.kit.config.secrets import plain
from services.kit.eventstore.port import Append, RecordedEvent
from services.kit.privacy.vault import PostgresVault
from services.kit.wire.cloudevents import source_of
from tests.drill import Drill
from tests.services.read_side import AT, VAULT_KEY, ReadSide, created, running
from tests.services.test_rewrap import LOST, rewrap


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def order_under_the_lost_key(side: ReadSide) -> list[RecordedEvent]:
    events = side.logs["orders"]
    vault = PostgresVault(events.connections, plain(LOST))
    await events.append(
        Append("order-ord_1", 0, await stamped([created("ord_1", "usr_1")], Cause(AT), source_of("orders"), vault))
    )
    return await events.read("order-ord_1")


async def test_without_the_lost_key_views_wait_until_its_persons_are_erased(side: ReadSide, database) -> None:
    await side.show(await side.order("ord_0", created("ord_0", "usr_0")))
    locked = await order_under_the_lost_key(side)
    later = await side.order("ord_2", created("ord_2", "usr_2"))
    drill = Drill("loss of a vault key")
    assert (await side.nudge(locked[-1])).status_code == 503
    assert (await side.nudge(later[-1])).status_code == 503

    refused = rewrap(database, VAULT_KEY())
    assert (refused.returncode, "usr_1" in refused.stderr, "--erase-locked" in refused.stderr) == (1, True, True)
    done = rewrap(database, VAULT_KEY(), "--erase-locked")
    assert (done.returncode, done.stdout) == (0, "0 keys wrapped again\n1 persons erased: usr_1\n"), done.stderr

    await side.show(later)
    drill.ends(lost=1, of="person's data")
    shown = {order_id: await side.get(f"/orders/{order_id}") for order_id in ("ord_0", "ord_1", "ord_2")}
    assert {order_id: order["customer_name"] for order_id, order in shown.items()} == {
        "ord_0": "Ann", "ord_1": None, "ord_2": "Ann",
    }  # fmt: skip
    assert shown["ord_1"]["total"] == shown["ord_2"]["total"]
