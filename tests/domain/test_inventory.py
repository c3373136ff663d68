"""The rules of stock, by examples and by random commands that must keep every level valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.contracts.fulfillment import WantedItem
from services.contracts.inventory import (
    InventoryCheck,
    InventoryChecked,
    InventoryCheckFailed,
    InventoryRelease,
    InventoryReleased,
    ReservedItem,
    StockAdjusted,
)
from services.contracts.orders import ProductChange
from services.inventory.domain import RESERVATION, Commit, Expire, Extend, Reduce, Release, Reserve, Restock, movements
from services.inventory.levels import STOCK, Adjust, Level, SetStock
from services.kit.domain.decider import Rejected
from services.kit.testing import assert_idempotent
from tests.examples import examples

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = AT + timedelta(hours=24)
PRODUCTS = ("A", "B", "C")


def reserve(levels, attempt=1, order="o", late=False, **items) -> Reserve:
    wanted = tuple(WantedItem(product_id=p, quantity=q) for p, q in items.items())
    request = InventoryCheck(saga_id=order, step="reserve_inventory", attempt=attempt, items=wanted)
    return Reserve(at=AT, order_id=order, request=request, levels=levels, expires_at=LATER, too_late=late)


def release(order="o") -> Release:
    request = InventoryRelease(saga_id=order, step="reserve_inventory", undo=True)
    return Release(at=AT, order_id=order, request=request)


def one(command, state) -> Any:
    decision = RESERVATION.decide(command, state)
    assert not isinstance(decision, Rejected)
    (event,) = decision
    return event


def after(*commands):
    state = RESERVATION.initial
    for command in commands:
        decision = RESERVATION.decide(command, state)
        assert not isinstance(decision, Rejected)
        state = RESERVATION.fold(decision, state)
    return state


def after_of(state, *commands):
    for command in commands:
        decision = RESERVATION.decide(command, state)
        assert not isinstance(decision, Rejected)
        state = RESERVATION.fold(decision, state)
    return state


def test_an_order_holds_all_its_items_or_none():
    levels = {"A": Level(5), "B": Level(5, 4)}
    short = one(reserve(levels, A=5, B=2), RESERVATION.initial)
    assert isinstance(short, InventoryChecked)
    assert (short.success, short.all_items_available, short.reservation_id) == (False, False, None)
    assert [(i.product_id, i.requested, i.available, i.is_available) for i in short.items] == [
        ("A", 5, 5, True), ("B", 2, 1, False),
    ]  # fmt: skip
    assert movements([short]) == {}
    held = one(reserve(levels, A=5, B=1), RESERVATION.initial)
    assert movements([held]) == {"A": Level(0, 5), "B": Level(0, 1)}


def test_an_unknown_product_is_not_available():
    assert not one(reserve({}, A=1), RESERVATION.initial).success


def test_a_repeated_request_holds_nothing_more():
    state = after(reserve({"A": Level(5)}, A=2))
    assert RESERVATION.decide(reserve({"A": Level(5, 2)}, A=2), state) == []
    again = one(reserve({"A": Level(5, 2)}, attempt=2, A=2), state)
    assert (again.success, again.repeated, again.attempt) == (True, True, 2)
    assert movements([again]) == {}


def test_a_released_order_cannot_hold_items_again():
    assert one(release(), RESERVATION.initial).items == ()
    late = one(reserve({"A": Level(5)}, A=2), after(release()))
    assert isinstance(late, InventoryCheckFailed)
    assert (late.success, late.error_code) == (False, "reservation-closed")


def test_a_release_after_the_commit_returns_the_items_to_the_stock():
    released = one(release(), after(reserve({"A": Level(5)}, A=2), Commit(at=AT, order_id="o")))
    assert isinstance(released, InventoryReleased)
    assert movements([released]) == {"A": Level(2, 0)}


def back(refund="rfd_1", order="o", **units) -> Restock:
    returned = tuple(ReservedItem(product_id=product, quantity=quantity) for product, quantity in units.items())
    return Restock(at=AT, order_id=order, refund_id=refund, returned=returned)


COMMITTED = after(reserve({"A": Level(5), "B": Level(5)}, A=3, B=1), Commit(at=AT, order_id="o"))


def test_goods_that_staff_took_back_are_in_stock_once():
    restocked = one(back(A=1), COMMITTED)
    assert movements([restocked]) == {"A": Level(1, 0)}
    state = assert_idempotent(RESERVATION, back(A=1), COMMITTED)
    assert movements([one(back("rfd_2", A=2, B=1), state)]) == {"A": Level(1, 0), "B": Level(1, 0)}
    assert RESERVATION.decide(back("rfd_0", A=1), after_of(state, back("rfd_2", A=2))) == [], "an older message"


def test_no_more_units_return_than_the_order_took():
    assert movements([one(back(A=9, C=4), COMMITTED)]) == {"A": Level(3, 0)}
    assert RESERVATION.decide(back(C=4), COMMITTED) == []
    assert RESERVATION.decide(back(A=1), RESERVATION.initial) == []
    assert RESERVATION.decide(back(A=1), after(release())) == []


def test_release_of_a_committed_order_returns_what_staff_did_not_take_back():
    released = one(release(), after_of(COMMITTED, back(A=2, B=1)))
    assert movements([released]) == {"A": Level(1, 0)}
    assert RESERVATION.decide(back("rfd_2", A=3), after_of(COMMITTED, release())) == []


def test_goods_that_staff_take_back_before_the_commit_return_with_it():
    held = after(reserve({"A": Level(5)}, A=2))
    waiting = assert_idempotent(RESERVATION, back(A=1), held)
    assert movements([one(back(A=1), held)]) == {}
    repeated = after_of(waiting, reserve({"A": Level(5, 2)}, attempt=2, A=2))
    decision = RESERVATION.decide(Commit(at=AT, order_id="o"), repeated)
    assert not isinstance(decision, Rejected)
    assert movements(decision) == {"A": Level(-1, -2)}
    assert movements([one(release(), waiting)]) == {"A": Level(0, -2)}


def test_an_expired_request_is_answered_as_failed():
    assert one(reserve({"A": Level(5)}, late=True, A=1), RESERVATION.initial).error_code == "request-expired"


def test_a_reservation_expires_at_its_time_and_not_before():
    state = after(reserve({"A": Level(5)}, A=2))
    assert RESERVATION.decide(Expire(at=AT, order_id="o"), state) == []
    assert one(Expire(at=LATER, order_id="o"), state).order_id == "o"


def test_a_level_below_what_orders_hold_is_refused():
    count = SetStock(at=AT, product_id="A", product_name=None, on_hand=3, low_below=0, reason="count")
    assert isinstance(STOCK.decide(count, Level(9, 4)), Rejected)
    assert isinstance(STOCK.decide(Adjust(at=AT, product_id="A", delta=-6, reason="broken"), Level(9, 4)), Rejected)


def extend(levels, edit="e1", order="o", **units) -> Extend:
    changes = tuple(ProductChange(product_id=product, units=change) for product, change in units.items() if change)
    return Extend(at=AT, order_id=order, edit_id=edit, changes=changes, units=9, levels=levels)


def reduce(edit="e1", order="o", undone=False) -> Reduce:
    return Reduce(at=AT, order_id=order, edit_id=edit, undone=undone)


COMMIT = Commit(at=AT, order_id="o")
STOCKED = {"A": Level(5), "B": Level(5)}


def test_edit_takes_what_it_adds_at_once_and_gives_back_the_rest_when_it_is_carried_out():
    state = after(reserve(STOCKED, A=3), COMMIT)
    taken = one(extend({"A": Level(2), "B": Level(5)}, A=-2, B=4), state)
    assert movements([taken]) == {"B": Level(-4)}
    changed = after_of(state, extend({"A": Level(2), "B": Level(5)}, A=-2, B=4))
    assert movements([one(reduce(), changed)]) == {"A": Level(2)}
    done = after_of(changed, reduce())
    assert movements([one(release(), done)]) == {"A": Level(1), "B": Level(4)}
    assert RESERVATION.decide(reduce(), done) == []
    undone = after_of(changed, reduce(undone=True))
    assert movements([one(release(), undone)]) == {"A": Level(3)}


def test_edit_is_refused_without_stock_or_without_goods():
    state = after(reserve(STOCKED, A=3), COMMIT)
    for command, code in (
        (extend({"A": Level(2)}, A=3), "insufficient-stock"),
        (extend({}, C=1), "insufficient-stock"),
        (extend(STOCKED, A=-4), "not-held"),
        (extend(STOCKED, B=-1), "not-held"),
    ):
        assert one(command, state).error_code == code
    pending = after_of(state, extend(STOCKED, "e1", A=-2))
    assert one(extend(STOCKED, "e2", A=-2), pending).error_code == "not-held"
    assert one(extend(STOCKED), after_of(state, release())).error_code == "reservation-closed"
    assert one(extend(STOCKED), after_of(state, back("r", A=1))).error_code == "reservation-closed"


def test_edit_that_was_refused_before_its_goods_were_taken_takes_none_later():
    state = after_of(after(reserve(STOCKED, A=3), COMMIT), reduce(undone=True))
    assert RESERVATION.decide(extend(STOCKED, A=1), state) == []
    assert RESERVATION.decide(reduce(undone=True), state) == []
    assert one(extend(STOCKED, "e2", A=1), state).edit_id == "e2"


def test_edit_of_an_order_that_was_cancelled_gives_nothing_back_twice():
    state = after_of(after(reserve(STOCKED, A=3), COMMIT), extend(STOCKED, A=-1, B=1), release())
    assert RESERVATION.decide(reduce(), state) == []
    assert RESERVATION.decide(reduce(undone=True), state) == []


ORDERS = st.sampled_from(["o1", "o2", "o3", "o4"])
ACTIONS = st.one_of(
    st.tuples(st.just("reserve"), ORDERS, st.dictionaries(st.sampled_from(PRODUCTS), st.integers(1, 4), min_size=1)),
    st.tuples(st.just("release"), ORDERS, st.none()),
    st.tuples(st.just("commit"), ORDERS, st.none()),
    st.tuples(st.just("expire"), ORDERS, st.none()),
    st.tuples(st.just("restock"), ORDERS, st.dictionaries(st.sampled_from(PRODUCTS), st.integers(1, 9), min_size=1)),
    st.tuples(st.just("extend"), ORDERS, st.dictionaries(st.sampled_from(PRODUCTS), st.integers(-4, 4), min_size=1)),
    st.tuples(st.just("reduce"), ORDERS, st.booleans()),
    st.tuples(st.just("adjust"), st.sampled_from(PRODUCTS), st.integers(-5, 5)),
)


def wish(what, order, items, levels, attempt):
    match what:
        case "reserve":
            return reserve(dict(levels), attempt, order, **items)
        case "release":
            return release(order)
        case "commit":
            return Commit(at=AT, order_id=order)
        case "extend":
            return extend(dict(levels), f"e{attempt // 3}", order, **items)
        case "reduce":
            return reduce(f"e{attempt // 3}", order, items)
        case "restock":
            return back(str(attempt), order, **items)
        case _:
            return Expire(at=LATER, order_id=order)


@settings(max_examples=examples(300))
@given(st.lists(ACTIONS, max_size=30))
def test_reserved_stays_between_zero_and_on_hand(actions):
    levels: dict[str, Level] = dict.fromkeys(PRODUCTS, Level(6))
    states: dict[str, Any] = dict.fromkeys(["o1", "o2", "o3", "o4"], RESERVATION.initial)
    for attempt, (what, who, how) in enumerate(actions, 1):
        if what == "adjust":
            decision = STOCK.decide(Adjust(at=AT, product_id=who, delta=how, reason="x"), levels[who])
            for event in [] if isinstance(decision, Rejected) else decision:
                assert isinstance(event, StockAdjusted)
                levels[who] = STOCK.evolve(levels[who], event)
            continue
        command = wish(what, who, how, levels, attempt)
        decision = RESERVATION.decide(command, states[who])
        assert not isinstance(decision, Rejected)
        states[who] = RESERVATION.fold(decision, states[who])
        for product, change in movements(decision).items():
            level = levels[product]
            levels[product] = Level(level.on_hand + change.on_hand, level.reserved + change.reserved)
        assert all(0 <= level.reserved <= level.on_hand for level in levels.values())
    if all(what != "adjust" for what, _, _ in actions):
        assert all(level.on_hand <= 6 for level in levels.values()), "no unit comes back twice"
