"""Orders of any customer with any text, for queries to the read side."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from services.contracts import orders
from services.kit.domain.message import Message, Money
from services.kit.eventstore.port import RecordedEvent
from tests.services.read_side import ADDRESS, CARD, ReadSide


def placed(
    order_id: str, *goods: str, name: str | None = "Ann", city: str = "Leeds", **more: Any
) -> orders.OrderCreated:
    """An order of these goods; `more` has customer_id, total, currency or country where it matters."""
    lines = tuple(
        orders.OrderLine(product_id=f"P{number}", product_name=text, quantity=1, unit_price=Decimal(1))
        for number, text in enumerate(goods or ("Mug",))
    )
    address = ADDRESS.model_copy(update={"city": city, "country": more.get("country", "GB")})
    return orders.OrderCreated(
        order_id=order_id,
        customer_id=more.get("customer_id"),
        email="ann@example.com",
        customer_name=name,
        lines=lines,
        total=Money(amount=Decimal(more.get("total", "1.00")), currency=more.get("currency", "GBP")),
        shipping_address=address,
        payment_method=CARD,
    )


async def show(side: ReadSide, *messages: Message) -> None:
    """Append these events, each to the stream of its order, and wait until the read side shows them."""
    said: list[RecordedEvent] = []
    for message in messages:
        said = await side.order(message.key_value, message)
    await side.show(said)


async def found(side: ReadSide, path: str, **parameters: Any) -> list[str]:
    """The ids of the orders of a list."""
    answer = await side.query.get(path, params=parameters)
    assert answer.status_code == 200, (parameters, answer.text)
    return [order["order_id"] for order in answer.json()["orders"]]


async def through(side: ReadSide, path: str, **parameters: Any) -> list[str]:
    """The ids of all orders of a list, from cursor to cursor."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await side.query.get(path, params={**parameters, **cursor})
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        ids += [order["order_id"] for order in shown["orders"]]
        if shown["next_cursor"] is None:
            return ids
        cursor = {"cursor": shown["next_cursor"]}


async def by_number(side: ReadSide, path: str, **parameters: Any) -> list[str]:
    """The ids of all orders of a list, page by page."""
    first = (await side.query.get(path, params=parameters)).json()
    pages: Sequence[int] = range(1, first["total_pages"] + 1)
    return [order for page in pages for order in await found(side, path, **parameters, page=page)]
