"""`zerocart status` and `zerocart doctor` name what services need and a mistaken statement took away."""

from __future__ import annotations

import pytest

from tests.conftest import Database, execute
from tools.knative_local.queue_depths import GRANT_AGAIN, RESTORE, queue_depths
from tools.knative_local.state import Running

LOSSES = {
    "REVOKE ALL ON payments.events FROM zerocart_payments": ("zerocart_payments on payments.events", GRANT_AGAIN),
    "REVOKE INSERT ON orders.streams FROM zerocart_orders": ("zerocart_orders on orders.streams", GRANT_AGAIN),
    "REVOKE USAGE ON SCHEMA shipping FROM zerocart_shipping": ("zerocart_shipping on shipping.events", GRANT_AGAIN),
    "DROP TABLE log.archived_streams": ('relation "log.archived_streams" does not exist', RESTORE),
    "DROP TABLE operations.dead_letters": ('relation "operations.dead_letters" does not exist', RESTORE),
}


async def problems(database: Database) -> list[str]:
    dsns = {"owner_dsn": database.owner_dsn, "read_owner_dsn": database.read_owner_dsn, "admin_dsn": ""}
    found = (await queue_depths(Running(0, "", "", bootstrap_servers="", topic="", **dsns)))["problems"]
    assert isinstance(found, list)
    return found


async def test_a_whole_event_store_has_no_problem(database: Database) -> None:
    assert await problems(database) == []


@pytest.mark.parametrize("statement", LOSSES)
async def test_a_loss_is_named_with_its_remedy(database: Database, statement: str) -> None:
    await execute(database.owner_dsn, statement)
    [problem] = await problems(database)
    assert all(part in problem for part in LOSSES[statement])
