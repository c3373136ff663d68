"""Users is killed after commit, during publication and before its answer: each effect happens once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from services.contracts.users import VerificationRequested, WelcomeDue
from tests.services import test_crashes
from tests.services.crashing import POINTS
from tests.services.test_crashes import World
from tests.waiting import SECONDS_MAX

sink, world = test_crashes.sink, test_crashes.world
BODY = {"email": "ann@example.com", "name": "Ann", "password": "correct horse"}
REGISTERED = {
    "users.user.registered": 1, "users.user.verification_requested": 1, "scheduler.timer.requested": 2,
}  # fmt: skip


async def register(world: World) -> httpx.Response:
    async with httpx.AsyncClient(timeout=SECONDS_MAX) as client:
        return await client.post(f"{world.url}/users", json=BODY, headers={"Idempotency-Key": "k"})


@pytest.mark.parametrize("point", POINTS)
async def test_a_user_is_registered_once(world, point):
    await world.until_killed("users", point, lambda: register(world))
    world.start("users")
    answers = [await register(world) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert await world.counts() == REGISTERED
    assert await world.published() == await world.logged()


@pytest.mark.parametrize("point", POINTS)
async def test_a_scheduled_mail_is_requested_once(world, point):
    process = world.start("users")
    due = WelcomeDue(user_id=(await register(world)).json()["id"])
    process.terminate()
    process.wait(30)
    await world.until_killed("users", point, lambda: world.hear(due))
    world.start("users")
    for id_ in ("cause:1", "cause:1", "cause:2"):  # the last one as if the timer had been said twice
        assert (await world.hear(due, id_=id_)).status_code == 204
    assert await world.counts() == REGISTERED | {"users.onboarding.welcome_tips_send": 1}
    assert await world.published() == await world.logged()


@pytest.mark.parametrize("point", POINTS)
async def test_a_mail_is_kept_once(world, sink, point):
    now = datetime.now(UTC)
    notice = VerificationRequested(
        user_id="usr_1", email="ann@example.com", name="Ann", notice_id="n",
        requested_at=now, expires_at=now + timedelta(hours=1),
    )  # fmt: skip
    await world.until_killed("notifications", point, lambda: world.hear(notice))
    world.start("notifications")
    for _ in range(2):
        assert (await world.hear(notice)).status_code == 204
    assert await world.counts() == {"notifications.user_mail.sent": 1}
    assert (sink[0].count(), sink[0].repeats) == (1, 0)
