"""`GET /audit` lists what persons and programs changed, in every service, with their ids and without personal data."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.audited import AUDITED
from services.contracts import users
from services.kit.domain.principal import Principal
from services.orders.shop_rules import Review, ShopRules
from services.projection.reactions import TYPES
from tests.services import read_side
from tests.services.read_side import ReadSide, created
from tests.services.system import System, order, running
from tests.services.test_answers import a_catalogue, an_account, orders_of_every_kind
from tests.tokens import authorization, customer

STAFF = Principal("user", "usr_boss")
DIRECT = """
    SELECT type FROM log.events
    WHERE meta->>'causationid' = '/zerocart/' || service AND meta->>'authtype' IS NOT NULL
        AND type NOT IN ('zerocart.orders.order.acknowledged.v1') AND type NOT LIKE 'zerocart.scheduler.%'
"""
"""Without what a service tells another one about a command that the audit lists by another event."""


async def changes(side: ReadSide, query: str = "") -> list[dict[str, Any]]:
    return (await side.get(f"/audit?page_size=100{query}"))["changes"]


async def brought(system: System, side: ReadSide) -> None:
    """Let the read side show everything that the system has appended."""
    await system.bus.quiet()
    await side.show_all(system.bus.published[-1])


async def test_every_event_of_a_request_with_a_token_is_listed(database):
    rules = ShopRules(review=Review(total_above={"GBP": Decimal(1_000)}))
    async with running(database, rules=rules) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        await an_account(system)
        await a_catalogue(system, side)
        await orders_of_every_kind(system)
        await brought(system, side)
        caused = sorted(row["type"] for row in await system.rows(DIRECT))
        listed = [*await changes(side), *await changes(side, "&page=2")]
        assert sorted(each["type"] for each in listed) == caused
        assert len(set(caused)) > 20
        assert [each["time"] for each in listed] == sorted((each["time"] for each in listed), reverse=True)
        stored = json.dumps(listed)
        assert "Ann Archer" not in stored
        assert "@example.com" not in stored
        assert [each for each in listed if "tok_" in json.dumps(each["data"])] == []


async def test_an_entry_says_who_did_what_to_what_and_when(database):
    async with running(database) as system, read_side.running(database) as side:
        mine = authorization("usr_boss")
        made = (
            await system.users.post("/clients", json={"name": "Till", "scopes": ["stock:read"]}, headers=mine)
        ).json()["client"]
        await system.orders.post("/orders", json=order(("mug", 1)), headers=customer("usr_ann"))
        await brought(system, side)
        (entry,) = await changes(side, "&actor=usr_boss")
        assert (entry["actor_kind"], entry["subject"], entry["service"]) == ("staff", made["client_id"], "users")
        assert entry["type"] == users.ClientCreated.type
        assert (entry["data"]["name"], entry["data"]["scopes"]) == ("Till", ["stock:read"])
        assert entry["time"].endswith("Z")
        assert abs(datetime.fromisoformat(entry["time"]) - datetime.now(UTC)) < timedelta(minutes=5)
        (placed,) = await changes(side, "&actor_kind=customer")
        assert (placed["actor"], placed["type"]) == ("usr_ann", "zerocart.orders.order.created.v1")


async def test_filters_select_by_actor_subject_type_and_time(database):
    async with read_side.running(database) as side:
        await side.append("orders", "order-1", created("1"), principal=Principal("app_user", "gst_1"))
        (second,) = await side.append("orders", "order-2", created("2"), principal=Principal("user", "cli_1"))
        revoked = users.ClientRevoked(client_id="cli_1")
        (third,) = await side.append("users", "client-cli_1", revoked, principal=STAFF)
        await side.show([third])

        async def found(query: str) -> list[str]:
            return [each["subject"] for each in await changes(side, query)]

        assert await found("") == ["cli_1", "2", "1"]
        assert await found("&subject=2") == ["2"]
        assert await found("&actor=usr_boss") == ["cli_1"]
        assert await found("&actor_kind=guest") == ["1"]
        assert await found("&actor_kind=client") == ["2"]
        assert await found("&types=zerocart.users.*") == ["cli_1"]
        assert await found("&types=zerocart.orders.order.created.v1,zerocart.users.client.*") == ["cli_1", "2", "1"]
        at = second.time.isoformat().replace("+00:00", "Z")
        assert await found(f"&from={at}") == ["cli_1", "2"]
        assert await found(f"&to={at}") == ["1"]
        page = await side.get("/audit?page_size=2")
        assert page["total"] == 3
        rest = await side.get(f"/audit?page_size=2&cursor={page['next_cursor']}")
        assert ([each["subject"] for each in rest["changes"]], rest["next_cursor"]) == (["1"], None)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("types=nonsense", "types"),
        ("types=zerocart.nobody.*", "types"),
        ("actor_kind=robot", "query.actor_kind"),
        ("from=2026-12-02&to=2026-12-01", "from"),
        ("from=yesterday", "from"),
        ("who=me", "who"),
        ("page=0", "query.page"),
    ],
)
async def test_a_wrong_parameter_is_named(database, query, field):
    async with read_side.running(database) as side:
        answer = await side.query.get(f"/audit?{query}")
        assert answer.status_code == 422, answer.text
        assert [each["field"] for each in answer.json()["errors"]] == [field]


async def test_events_without_a_person_and_consequences_are_not_listed(database):
    async with read_side.running(database) as side:
        await side.append("users", "user-usr_1", users.ProfileChanged(user_id="usr_1", name="Ann"))
        (last,) = await side.append("users", "client-cli_1", users.ClientRevoked(client_id="cli_1"), principal=STAFF)
        await side.show([last])
        assert [each["type"] for each in await changes(side)] == [users.ClientRevoked.type]


async def test_entries_stay_after_an_erasure_and_hold_no_personal_data(database):
    async with read_side.running(database) as side:
        ann = Principal("app_user", "usr_1")
        await side.append("users", "user-usr_1", users.ProfileChanged(user_id="usr_1", name="Ann A"), principal=ann)
        (last,) = await side.append("users", "user-usr_1", users.UserDeleted(user_id="usr_1"), principal=STAFF)
        await side.show([last])
        found = await changes(side, "&subject=usr_1")
        assert [each["actor"] for each in found] == ["usr_boss", "usr_1"]
        assert [each["data"] for each in found] == [{"user_id": "usr_1"}, {"user_id": "usr_1"}]


async def test_a_large_event_is_listed_without_its_data(database):
    async with read_side.running(database) as side:
        last = await side.append("orders", "order-1", created("1", lines=60), principal=STAFF)
        await side.show(last)
        (entry,) = await changes(side)
        assert (entry["subject"], entry["data"]) == ("1", None)


async def test_the_audit_needs_its_own_scope(database):
    async with read_side.running(database) as side:
        for headers in (customer("usr_1"), authorization("usr_2", "orders:read orders:admin access:read")):
            answer = await side.query.get("/audit", headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (403, "insufficient-scope")


def test_rare_changes_wake_the_projection():
    for type_ in AUDITED:
        if type_.startswith(("zerocart.users.staff.", "zerocart.users.client.", "zerocart.webhooks.endpoint.")):
            by_no_request = type_.endswith(
                ("disabled.v1", "expired.v1", "expiry_due.v1")
            )  # so the audit has no entry of it
            assert type_ in TYPES or by_no_request, type_
