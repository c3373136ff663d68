"""The timeline of an order, made by the real services: complete, and with the principal behind each event."""

from __future__ import annotations

import json
from typing import Any

from services.kit.domain.principal import Principal
from services.kit.eventstore.port import START
from services.kit.eventstore.postgres import PostgresEventReader
from services.kit.privacy.vault import PostgresVault
from services.projection.decoding import decode
from services.projection.history import READS, STREAMS
from services.projection.reactions import TYPES
from services.projection.views.timeline import TIMELINE_VIEW, entry_of
from services.read_model.timeline import TimelineEntry
from tests.services.read_side import VAULT_KEY
from tests.services.system import ADDRESS, System, order, running
from tests.tokens import customer

REFUSED = {**ADDRESS, "line1": "CARRIER-REFUSE"}
WANTED: dict[str, dict[str, Any]] = {
    "smooth": {},
    "declined": {"token": "tok_decline"},
    "capture declined": {"token": "tok_decline_capture"},
    "provider away once": {"token": "tok_fail_once"},
    "refused by the carrier": {"shipping_address": REFUSED},
    "nowhere": {"shipping_address": {**ADDRESS, "country": "ZZ"}},
}


async def place(system: System, body: dict[str, Any], **headers: str) -> str:
    answer = await system.orders.post("/orders", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()["order_id"]


async def timeline_of(database: Any, order_id: str) -> list[TimelineEntry]:
    """The timeline as it is read from the streams of an order."""
    reader = PostgresEventReader(database.dsn("projection"))
    found = await reader.read_streams([stream.format(order_id) for stream in STREAMS])
    vault = PostgresVault(reader.connections, VAULT_KEY)
    shown = await decode(vault, READS, [event for event in found if event.type in TIMELINE_VIEW.reads])
    await reader.close()
    return [entry_of(each.event, each.message) for each in shown if each.message]


async def test_the_timeline_is_complete_once_the_order_stops_changing(database) -> None:
    """The last event of a timeline is followed by, or is itself, an event that wakes the projection."""
    async with running(database) as system:
        await system.stock("R", 1_000)
        placed = {name: await place(system, order(("R", 1), **more)) for name, more in WANTED.items()}
        placed["short"] = await place(system, order(("R", 2_000)))
        for name in ("cancelled at once", "cancelled later"):
            placed[name] = await place(system, order(("R", 1)))
            if name == "cancelled later":
                await system.bus.quiet()
            answer = await system.orders.post(f"/orders/{placed[name]}/cancel", json={"reason": "no more"})
            assert answer.status_code == 202, answer.text
        await system.at_rest()
        tracked = {"status": "delivered"}
        answer = await system.bus.clients["shipping"].post(f"/shipments/{placed['smooth']}/tracking", json=tracked)
        assert answer.status_code == 202, answer.text
        await system.at_rest()
        reader = PostgresEventReader(database.dsn("projection"))
        every = (await reader.read_all(START, 10_000)).events
        await reader.close()
    for name, order_id in placed.items():
        own = [event for event in every if json.loads(event.meta)["partitionkey"] == order_id]
        shown = [event for event in own if event.type in TIMELINE_VIEW.reads]
        nudges = [event for event in every if event.type in TYPES]
        assert len(shown) >= 4, name
        assert shown[-1].position <= nudges[-1].position, name
        last = [event for event in own if event.type in TYPES][-1]
        assert shown[-1].position <= last.position, (name, shown[-1].type, last.type)
        assert [moment.position for moment in await timeline_of(database, order_id)] == [str(e.position) for e in shown]


async def test_every_event_of_an_order_names_the_principal_that_caused_it(database) -> None:
    async with running(database) as system:
        await system.stock("R", 10)
        own = await place(system, order(("R", 1)), **customer("usr_1"))
        await system.bus.quiet()
        cancel = await system.orders.post(f"/orders/{own}/cancel", json={"reason": "asked by phone"})
        assert cancel.status_code == 202
        await system.bus.quiet()
        moments = await timeline_of(database, own)
    asked = next(n for n, each in enumerate(moments) if each.type.endswith("cancellation_requested.v1"))
    assert (moments[0].who, moments[0].on_behalf_of, moments[0].by) == ("customer", None, "usr_1")
    assert {(each.on_behalf_of, each.by) for each in moments[1:asked]} == {("customer", "usr_1")}
    assert (moments[asked].who, moments[asked].by, moments[asked].why) == ("operator", "operator", "asked by phone")
    assert {(each.on_behalf_of, each.by) for each in moments[asked + 1 :]} == {("operator", "operator")}
    doers = {each.who for each in moments}
    assert doers == {"customer", "operator", "zerocart", "payment provider", "carrier"}


async def test_a_timer_keeps_the_principal_that_caused_it(database) -> None:
    async with running(database) as system:
        await system.stock("R", 10)
        body = order(("R", 1), shipping_address={**ADDRESS, "line1": "CARRIER-FAIL-ONCE"})
        order_id = await place(system, body, **customer("usr_1"))
        await system.bus.quiet()
        timers = await system.rows(f"SELECT meta FROM scheduler.timers WHERE key = '{order_id}' AND NOT cancelled")
    assert timers
    assert {Principal.of(json.loads(timer["meta"])) for timer in timers} == {Principal("app_user", "usr_1")}


def test_a_subject_that_may_be_an_address_or_cannot_be_an_attribute_is_not_stored() -> None:
    for subject in ("ann@example.com", "ü", "50%", "x" * 200, "a\nb"):
        assert Principal.known("app_user", subject) == Principal("app_user", "")
    assert Principal.known("user", "auth0|42").attributes() == {"authtype": "user", "authid": "auth0|42"}
    assert Principal.of({"authtype": "robot", "authid": "x"}) is None
    assert Principal.of({}) is None
