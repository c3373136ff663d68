"""The rules of a product, by examples and by random commands: every event carries the whole product and its version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.catalogue.csv_products import products_in
from services.catalogue.domain import PRODUCT, Change, Define, Listed, NoProduct, ProductCommand, Withdraw, Withdrawn
from services.contracts.catalogue import (
    Price,
    Product,
    ProductChanged,
    ProductDefined,
    ProductMessage,
    ProductWithdrawn,
)
from services.kit.domain.decider import Rejected
from services.kit.domain.errors import Invalid, Unreadable, ZerocartError
from services.kit.testing import assert_idempotent

AT = datetime(2026, 3, 1, tzinfo=UTC)


def gbp(amount: str, **more: Any) -> Price:
    return Price(currency="GBP", amount=Decimal(amount), **more)


MUG = Product(sku="mug", name="Mug", prices=(gbp("4.50"),))
CUP = MUG.model_copy(update={"name": "Cup"})
NEW, LISTED = NoProduct(), Listed(MUG, 3)
GONE = Withdrawn(MUG.model_copy(update={"active": False}), 4)


def define(product: Product = MUG, **more: Any) -> Define:
    return Define(at=AT, product=product, **more)


def change(**changes: Any) -> Change:
    return Change(at=AT, sku="mug", changes=changes)


WITHDRAW = Withdraw(at=AT, sku="mug")

TABLE: dict[str, tuple[ProductCommand, Any, Any]] = {
    "define a new product": (define(), NEW, ProductDefined.of(MUG, version=1)),
    "define another content": (define(CUP), LISTED, ProductChanged.of(CUP, version=4)),
    "define the same content": (define(), LISTED, None),
    "define the same price with another number of zeros": (
        define(MUG.model_copy(update={"prices": (gbp("4.5"),)})),
        LISTED,
        None,
    ),
    "define a withdrawn product again": (define(), GONE, ProductDefined.of(MUG, version=5)),
    "define only a new product": (define(only_new=True), NEW, ProductDefined.of(MUG, version=1)),
    "leave a known product alone": (define(CUP, only_new=True), LISTED, None),
    "leave a withdrawn product alone": (define(CUP, only_new=True), GONE, None),
    "change a field": (change(name="Cup"), LISTED, ProductChanged.of(CUP, version=4)),
    "change nothing": (change(name="Mug"), LISTED, None),
    "change an unknown product": (change(name="Cup"), NEW, "product-not-found"),
    "change a withdrawn product": (change(name="Cup"), GONE, "product-withdrawn"),
    "withdraw": (WITHDRAW, LISTED, ProductWithdrawn.of(MUG, version=4, active=False)),
    "withdraw an unknown product": (WITHDRAW, NEW, "product-not-found"),
    "withdraw again": (WITHDRAW, GONE, None),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_command_in_each_state(name: str) -> None:
    command, state, expected = TABLE[name]
    decision = PRODUCT.decide(command, state)
    if isinstance(expected, str):
        assert isinstance(decision, Rejected)
        assert decision.code == expected
        assert decision.missing == (expected == "product-not-found")
    else:
        assert decision == ([] if expected is None else [expected])
    assert_idempotent(PRODUCT, command, state)


PROBLEMS: dict[str, tuple[Sequence[Price], str]] = {
    "ends when it begins": ([gbp("1", valid_from=AT, valid_until=AT)], "prices.0.valid_until"),
    "compared with the same amount": ([gbp("1", compare_at=Decimal("1.00"))], "prices.0.compare_at"),
    "two without a beginning": ([gbp("1"), gbp("2")], "prices.1.valid_from"),
    "two that begin at the same instant in other zones": (
        [gbp("1", valid_from=AT), gbp("2", valid_from=datetime.fromisoformat("2026-03-01T01:00:00+01:00"))],
        "prices.1.valid_from",
    ),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_prices_that_cannot_stand_beside_each_other_are_refused(name: str) -> None:
    prices, field = PROBLEMS[name]
    for command, state in (
        (define(MUG.model_copy(update={"prices": tuple(prices)})), NEW),
        (change(prices=tuple(prices)), LISTED),
    ):
        decision = PRODUCT.decide(command, state)
        assert isinstance(decision, Rejected)
        assert decision.field == field


def test_overlapping_prices_and_several_currencies_are_accepted() -> None:
    sale = gbp("3.60", compare_at=Decimal("4.50"), valid_from=AT, valid_until=AT + timedelta(days=3))
    prices = (gbp("4.50"), sale, Price(currency="EUR", amount=Decimal("5.40")))
    assert not isinstance(PRODUCT.decide(change(prices=prices), LISTED), Rejected)


PRODUCTS = st.builds(
    Product,
    sku=st.just("mug"),
    name=st.sampled_from(["Mug", "Cup"]),
    active=st.booleans(),
    prices=st.lists(st.decimals(0, 100, places=2).map(lambda a: gbp(str(a))), max_size=2).map(tuple),
)
COMMANDS = st.one_of(
    st.builds(Define, at=st.just(AT), product=PRODUCTS, only_new=st.booleans()),
    st.builds(Change, at=st.just(AT), sku=st.just("mug"), changes=st.fixed_dictionaries({"active": st.booleans()})),
    st.just(WITHDRAW),
)


@given(st.lists(COMMANDS, max_size=20))
def test_the_last_event_alone_tells_the_state(commands: list[ProductCommand]) -> None:
    state, events = PRODUCT.initial, list[ProductMessage]()
    for command in commands:
        decision = PRODUCT.decide(command, state)
        if not isinstance(decision, Rejected):
            state = PRODUCT.fold(decision, state)
            events += [event for event in decision if isinstance(event, ProductMessage)]
        state = assert_idempotent(PRODUCT, command, state)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert state == PRODUCT.fold(events[-1:])
    if isinstance(state, Withdrawn):
        assert not state.product.active


HEADER = "sku,name,active,weight_grams,currency,amount,valid_from,metadata.supplier\r\n"


def test_lines_with_one_sku_are_one_product_with_several_prices() -> None:
    text = (
        HEADER
        + 'MUG,"Mug, ""big""\nand blue",true,350,GBP,4.50,,Acme\r\n'
        + "CUP,Cup,,,GBP,2,,\r\n\r\n"
        + "MUG,,,,EUR,5.40,2026-01-01T00:00:00Z,\r\n"
    )
    mug, cup = products_in(b"\xef\xbb\xbf" + text.encode())
    assert (mug.line, mug.problem, cup.line, cup.problem) == (2, None, 4, None)
    assert mug.content == {
        "sku": "MUG", "name": 'Mug, "big"\nand blue', "active": True, "weight_grams": 350,
        "metadata": {"supplier": "Acme"},
        "prices": [
            {"currency": "GBP", "amount": "4.50"},
            {"currency": "EUR", "amount": "5.40", "valid_from": "2026-01-01T00:00:00Z"},
        ],
    }  # fmt: skip
    assert cup.content == {"sku": "CUP", "name": "Cup", "metadata": {}, "prices": [{"currency": "GBP", "amount": "2"}]}


@pytest.mark.parametrize(
    ("row", "field"), [("MUG,Cup,,,EUR,1,,", "name"), ("MUG,Mug,,,EUR,1", "body"), ("MUG,,,,EUR,1,,,,", "body")]
)
def test_a_later_line_that_does_not_fit_refuses_its_product_only(row: str, field: str) -> None:
    mug, cup = products_in(f"{HEADER}MUG,Mug,,,GBP,4.50,,\r\nCUP,Cup,,,GBP,2,,\r\n{row}\r\n".encode())
    assert mug.problem is not None
    assert mug.problem.fields[0].field == field
    assert "Line 4" in mug.problem.fields[0].detail
    assert cup.problem is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"sku,colour\r\nMUG,blue\r\n", Invalid),
        (b"name\r\nMug\r\n", Invalid),
        (b"sku,name,name\r\nMUG,Mug,Mug\r\n", Invalid),
        (b"", Invalid),
        (b"sku,name\r\nMUG,\xff\r\n", Unreadable),
        (b'sku,name\r\nMUG,"Mug\r\n', Unreadable),
    ],
)
def test_a_file_that_is_no_table_of_products_is_refused(body: bytes, error: type[ZerocartError]) -> None:
    with pytest.raises(error):
        products_in(body)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"sku,name\r\n{text}".encode()))
def test_any_file_is_read_or_refused(body: bytes) -> None:
    try:
        products_in(body)
    except ZerocartError:
        return
