"""Failed messages are counted, stored whole, parked and removed."""

from __future__ import annotations


async def test_a_failed_message_is_counted_then_parked_and_removed_after_success(harness):
    failures = harness.failures()
    assert await failures.record("m", "first", {"id": "1", "source": "/x"}, b"\x00{}") == 1
    assert await failures.record("m", "second\0", {"id": "1", "source": "/x"}, b"\x00{}") == 2
    assert await failures.record("n", "other", {}, b"") == 1
    assert await failures.list(parked_only=True, failures_max=9) == []
    await failures.park("m")
    await failures.park("unknown")
    [parked] = await failures.list(parked_only=True, failures_max=9)
    assert (parked.service, parked.key, parked.attempts, parked.parked) == ("orders", "m", 2, True)
    assert (parked.attributes, parked.data) == ({"id": "1", "source": "/x"}, b"\x00{}")
    assert parked.last_error.startswith("second") and parked.first_at <= parked.last_at
    assert len(await failures.list(parked_only=False, failures_max=9)) == 2
    assert len(await failures.list(parked_only=False, failures_max=1)) == 1
    await failures.clear("m", "orders")
    await failures.clear("m", "orders")
    assert [failure.key for failure in await failures.list(parked_only=False, failures_max=9)] == ["n"]


async def test_one_failed_message_is_found_by_its_key_however_many_failed_later(harness):
    failures = harness.failures()
    for key in ("first", "second"):
        await failures.record(key, "no", {}, b"{}")
    [found] = await failures.list(parked_only=False, failures_max=1, key="first")
    assert found.key == "first"
