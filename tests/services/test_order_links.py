"""A guest finds an order by its number and e-mail address: the mailed link, and what its token reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from services.contracts.orders import OrderLinkRequested
from services.kit.config.rates import Rate
from services.kit.privacy.hmac_tokens import expiring
from services.notifications.mails import Shop
from services.users.tokens.grants import ORDER_LINK
from tests.services import read_side
from tests.services.system import RATES, System, order, running
from tests.services.test_users import ask, mails
from tests.tokens import authorization

SHOP = Shop("shop@example.com", url="https://shop.example.com")
EMAIL = "ann@example.com"


async def look_up(system: System, number: str, email: str = EMAIL) -> httpx.Response:
    """As somebody without a token."""
    async with httpx.AsyncClient(transport=system.orders._transport, base_url="http://orders") as client:
        answer = await client.post("/orders/lookup", json={"number": number, "email": email})
    await system.bus.quiet()
    return answer


async def placed(system: System, **more: Any) -> dict[str, Any]:
    await system.bus.clients["inventory"].put("/stock/P", json={"on_hand": 10})
    answer = await system.orders.post("/orders", json=order(("P", 1), **more))
    assert answer.status_code == 202, answer.text
    await system.at_rest()
    return answer.json()


def link_in(mail: Any) -> str:
    text = mail.get_body(("plain",)).get_content()
    (link,) = [line for line in text.splitlines() if line.startswith("https://")]
    assert f'href="{link}"' in mail.get_body(("html",)).get_content()
    return link


def token_in(link: str) -> str:
    return urlsplit(link).fragment.removeprefix("token=")


async def test_a_guest_gets_a_link_whose_token_reads_this_order_and_nothing_else(database: Any) -> None:
    async with running(database, shop=SHOP) as system, read_side.running(database) as side:
        system.bus.clients["projection"] = side.projection
        mine, other = await placed(system), await placed(system)
        assert (await look_up(system, f" #{mine['number']} ", "Ann@Example.com")).status_code == 202
        (mail,) = mails(system, "order_link")
        assert mail["To"] == EMAIL
        link = link_in(mail)
        assert link.startswith(f"https://shop.example.com/orders/{mine['order_id']}#token=")
        issued = (await ask(system, {"grant_type": ORDER_LINK, "link_token": token_in(link)})).json()
        assert issued["scope"] == "orders:read"
        assert "refresh_token" not in issued
        claims = jwt.decode(issued["access_token"], options={"verify_signature": False})
        assert claims["sub"] == mine["order_id"]
        headers = authorization(claims["sub"], claims["scope"])
        shown = await side.query.get(f"/orders/{mine['order_id']}", headers=headers)
        assert (shown.status_code, shown.json()["number"]) == (200, mine["number"])
        assert "internal_notes" not in shown.json()
        assert shown.json()["timeline"]
        refused = {
            f"/orders/{other['order_id']}": 404, f"/customers/{other['order_id']}/orders": 404,
            f"/orders?customer_id={other['order_id']}": 403, "/stock": 403, "/analytics/orders": 403,
        }  # fmt: skip
        for path, status in refused.items():
            assert (await side.query.get(path, headers=headers)).status_code == status, path
        assert (await side.query.get("/orders", headers=headers)).json()["orders"] == []
        cancel = await system.orders.post(f"/orders/{mine['order_id']}/cancel", json={"reason": "x"}, headers=headers)
        assert cancel.status_code == 403


async def test_every_answer_to_a_lookup_is_the_same_and_only_a_match_is_mailed(database: Any) -> None:
    async with running(database) as system:
        number = (await placed(system))["number"]
        draft = (await system.orders.post("/orders?draft=true", json=order(("P", 1)))).json()["number"]
        wrong = [("99999", EMAIL), (number, "bob@example.com"), (draft, EMAIL), ("%", EMAIL), ("'", EMAIL)]
        answers = [await look_up(system, *each) for each in [*wrong, (number, EMAIL), (number, EMAIL)]]
        assert {(answer.status_code, answer.text) for answer in answers} == {(202, "{}")}
        (mail,) = mails(system, "order_link")  # the second match within five minutes is not mailed
        assert "Your code is" in mail.get_body(("plain",)).get_content()  # the shop has no front end


async def test_a_lookup_compares_the_last_address_of_the_order_in_every_status(database: Any) -> None:
    async with running(database) as system:
        failed = await placed(system, token="tok_decline")
        assert (await look_up(system, failed["number"])).status_code == 202
        assert len(mails(system, "order_link")) == 1
        draft = (await system.orders.post("/orders?draft=true", json=order(("P", 1)))).json()
        await system.orders.patch(f"/orders/{draft['order_id']}", json={"email": "new@example.com"})
        await system.orders.post(f"/orders/{draft['order_id']}/submit")
        await system.at_rest()
        await look_up(system, draft["number"], EMAIL)
        assert len(mails(system, "order_link")) == 1
        await look_up(system, draft["number"], "new@example.com")
        assert [mail["To"] for mail in mails(system, "order_link")] == [EMAIL, "new@example.com"]


async def test_an_imported_order_is_found_by_its_number_unless_the_import_was_undone(database: Any) -> None:
    async with running(database) as system:
        one = order(("P", 1)) | {"number": "old-7", "placed_at": "2020-01-01T00:00:00Z", "status": "delivered"}
        del one["payment_method"]
        for source in ("old-shop", "older-shop"):
            answer = await system.orders.post("/orders/imports", json={"source": source, "orders": [one]})
            assert answer.json()["orders"][0]["status"] == 201, answer.text
        await system.orders.post("/orders/imports/undo", json={"source": "older-shop", "numbers": ["old-7"]})
        await look_up(system, "OLD-7")
        assert len(mails(system, "order_link")) == 1


async def test_an_erased_guest_gets_no_link(database: Any) -> None:
    async with running(database) as system:
        mine = await placed(system)
        assert (await system.users.delete(f"/persons/{mine['order_id']}")).status_code == 204
    async with running(database) as system:  # other processes: the first ones know the key for another minute
        for email in (EMAIL, "erased@example.com"):
            assert (await look_up(system, mine["number"], email)).status_code == 202
        assert mails(system, "order_link") == []


async def test_a_wrong_or_expired_link_gives_no_token(database: Any) -> None:
    async with running(database) as system:
        now = datetime.now(UTC)
        good = expiring("m" * 32, OrderLinkRequested.type, "ord_1", now + timedelta(days=1))
        of_another_key = expiring("n" * 32, OrderLinkRequested.type, "ord_1", now + timedelta(days=1))
        of_another_purpose = expiring("m" * 32, "zerocart.users.user.activated.v1", "ord_1", now + timedelta(days=1))
        expired = expiring("m" * 32, OrderLinkRequested.type, "ord_1", now - timedelta(seconds=1))
        wrong = [
            of_another_key, of_another_purpose, expired, good.replace("ord_1", "ord_2"), good[:-1], good + "x", "x", "..",
            good.replace(good.split(".")[1], "99999999999"),
        ]  # fmt: skip
        for token in wrong:
            answer = await ask(system, {"grant_type": ORDER_LINK, "link_token": token})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), token
        assert (await ask(system, {"grant_type": ORDER_LINK})).json()["error"] == "invalid_request"
        more = await ask(system, {"grant_type": ORDER_LINK, "link_token": good, "scope": "orders:write"})
        assert more.json()["error"] == "invalid_scope"
        assert (await ask(system, {"grant_type": ORDER_LINK, "link_token": good})).status_code == 200


async def test_a_bad_lookup_is_refused_by_field(database: Any) -> None:
    async with running(database) as system:
        for body, field in (
            ({"number": "1"}, "email"), ({"email": EMAIL}, "number"), ({"number": "1", "email": "no"}, "email"),
            ({"number": "", "email": EMAIL}, "number"), ({"number": "1", "email": EMAIL, "more": 1}, "more"),
        ):  # fmt: skip
            answer = await system.orders.post("/orders/lookup", json=body)
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_lookups_of_a_client_are_limited(database: Any) -> None:
    async with running(database, rates=RATES | {"lookup": Rate(3, 60)}) as system:
        statuses = [(await look_up(system, "1")).status_code for _ in range(4)]
        assert statuses == [202, 202, 202, 429]


async def test_mails_to_guests_have_a_link_and_those_to_customers_with_an_account_have_none(database: Any) -> None:
    async with running(database, shop=SHOP) as system:
        guest, known = await placed(system), await placed(system, customer_id="usr_1")
        by_order = {mail["X-Zerocart-Order"]: mail for mail in mails(system, "confirmation")}
        link = link_in(by_order[guest["order_id"]])
        assert (await ask(system, {"grant_type": ORDER_LINK, "link_token": token_in(link)})).status_code == 200
        assert "shop.example.com/orders" not in by_order[known["order_id"]].as_string()
