"""The list of orders as CSV: complete, sorted, from one snapshot, safe in a spreadsheet, and freed in time."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import asyncpg
import httpx
import pytest
import uvicorn

from services.kit.config.secrets import plain
from services.kit.domain.errors import Unavailable
from services.query.lists import OrderFilter
from services.query.paging import PageRequest
from services.query.queries import Queries
from tests.services.read_side import ReadSide, running
from tests.services.shop import placed, show
from tests.tokens import authorization, customer
from tests.waiting import SECONDS_MAX

CSV = {"Accept": "text/csv"}
MANY = """
    INSERT INTO orders_1.orders
    SELECT 'ord_' || lpad(n::text, 6, '0'), o.customer_id, o.email, repeat('long name ', 40), o.status, o.reason, o.total,
           o.refunded, o.currency, o.city, o.country, o.priority, o.line_count, o.tracking_number, o.created_at, o.updated_at,
           o.source, o.number
    FROM orders_1.orders o, generate_series(1, 30000) AS n
"""
READING = (
    "SELECT count(*) FROM pg_stat_activity WHERE usename = 'zerocart_query' AND xact_start IS NOT NULL AND datname = $1"
)


@pytest.fixture
async def side(database) -> AsyncGenerator[ReadSide]:
    async with running(database) as one:
        yield one


async def rows(side: ReadSide, query: str = "", **headers: str) -> list[dict[str, str]]:
    answer = await side.query.get(f"/orders{query}", headers={**CSV, **headers})
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_csv_has_the_whole_list_in_order(side: ReadSide) -> None:
    await show(side, *(placed(f"o{number:04}", total=f"{number % 7}.50") for number in range(150)))
    exported = await rows(side, "?sort=total")
    listed = await side.get("/orders?sort=total&page_size=100")
    assert len(exported) == 150
    assert [row["order_id"] for row in exported[:100]] == [order["order_id"] for order in listed["orders"]]
    assert exported[0] | {"created_at": "", "updated_at": ""} == {
        "order_id": "o0000", "customer_id": "", "customer_name": "Ann", "email": "ann@example.com", "status": "pending",
        "reason": "", "total": "0.50", "refunded": "0.00", "currency": "GBP", "city": "Leeds", "country": "GB", "priority": "standard",
        "line_count": "1", "tracking_number": "", "created_at": "", "updated_at": "",
        "source": "", "number": "", "purchase_order_number": "", "shipping_method": "", "billing_address": "",
        "shipping_address": exported[0]["shipping_address"], "tags": "[]", "metadata": "", "subtotal": "0.50",
        "discount_total": "0.00", "shipping_total": "0.00", "tax_total": "0.00", "tax_included": "False",
        "shipping_tax": "0.00", "shipping_tax_rate": "0", "notes": "", "refunded_units": "", "refunds": "", "edited_down": "",
            "stuck_since": "",
    }  # fmt: skip
    assert exported[0]["created_at"].endswith("Z")
    assert len(await rows(side, "?total_min=6&q=mug")) == 21


async def test_csv_has_its_content_type_and_varies_by_accept(side: ReadSide) -> None:
    answer = await side.query.get("/orders", headers=CSV)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["vary"] == "Accept"
    assert answer.text.count("\r\n") == 1
    assert (await side.query.get("/orders")).headers["vary"] == "Accept"


async def test_no_cell_is_a_formula(side: ReadSide) -> None:
    names = ("=1+1", "+44", "-2", "@SUM(A1)", "＝1", '=HYPERLINK("x";"y")', 'a "b", c\nd', "fine - really")
    await show(side, *(placed(f"o{number}", name=name) for number, name in enumerate(names)))
    exported = [row["customer_name"] for row in await rows(side, "?sort=order_id")]
    assert exported == [*(f"'{name}" for name in names[:6]), *names[6:]]


async def test_a_customer_exports_own_orders_only(side: ReadSide) -> None:
    await show(side, *(placed(f"o{number}", customer_id=f"usr_{number % 2}") for number in range(6)))
    mine = await rows(side, **customer("usr_1"))
    assert {row["customer_id"] for row in mine} == {"usr_1"}
    assert len(mine) == 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=2", "page"), ("page_size=50", "page_size"), ("cursor=abc", "cursor"), ("count=exact", "count"),
        ("q=mug&sort=-relevance", "sort"), ("sort=email", "sort"), ("colour=red", "colour"),
    ],
)  # fmt: skip
async def test_page_parameters_and_relevance_are_refused_for_csv(side: ReadSide, query: str, field: str) -> None:
    answer = await side.query.get(f"/orders?{query}", headers=CSV)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


@asynccontextmanager
async def on_loopback(side: ReadSide) -> AsyncGenerator[httpx.AsyncClient]:
    """The query service behind a real server, where a client can disconnect in the middle of an answer."""
    transport = side.query._transport
    assert isinstance(transport, httpx.ASGITransport)
    server = uvicorn.Server(uvicorn.Config(transport.app, port=0, lifespan="off", log_level="warning"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=authorization(), timeout=60) as client:
        yield client
    server.should_exit = True
    await serving


async def test_exports_are_limited_and_do_not_delay_other_reads(side: ReadSide, monkeypatch) -> None:
    monkeypatch.setattr("services.query.snapshots.EXPORT_WAIT_SECONDS", 0.1)
    await show(side, placed("o1"))
    queries = Queries(plain(side.database.read_dsn("query")))
    async with queries.every_order(OrderFilter(), "total"), queries.every_order(OrderFilter(), "total"):
        with pytest.raises(Unavailable) as refused:
            await queries.every_order(OrderFilter(), "total").__aenter__()
        assert refused.value.code == "exports-busy"
        assert len((await queries.orders(OrderFilter(), "total", PageRequest())).rows) == 1
    async with queries.every_order(OrderFilter(), "total") as parts:
        assert len(await anext(parts)) == 1
    await queries.close()


async def test_an_export_reads_one_snapshot_and_ends_with_its_client(side: ReadSide, database) -> None:
    await show(side, placed("o1"))
    owner = await asyncpg.connect(database.read_owner_dsn)
    await owner.execute(MANY)
    name = f"{database.name}_read"
    async with on_loopback(side) as client:
        async with client.stream("GET", "/orders", headers=CSV) as answer:
            lines = answer.aiter_lines()
            assert (await anext(lines)).startswith("order_id,")
            assert await owner.fetchval(READING, name) == 1
            await owner.execute("UPDATE orders_1.orders SET status = 'lost'")
            rest = [line async for line in lines]
        assert len(rest) == 30_001
        assert not any("lost" in line for line in rest)
        async with client.stream("GET", "/orders", headers=CSV) as answer:
            await anext(answer.aiter_bytes())
        async with asyncio.timeout(SECONDS_MAX):
            while await owner.fetchval(READING, name):
                await asyncio.sleep(0.02)
    await owner.close()
