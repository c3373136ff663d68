"""Accounts on the local cluster, through the edge, with real mails and real time."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import httpx
import jwt
import pytest

from services.users.limits import RATES
from tests.e2e.local import Local
from tests.tools.order_files import file_of, sold
from tests.waiting import SECONDS_MAX
from tools.importer.accounts import CustomerLogins
from tools.importer.command import carry_out
from tools.importer.edge import Edge
from tools.importer.mailbox import MailFolder
from tools.importer.order_source import OrderSource, survey
from tools.importer.replay import Replay

pytestmark = pytest.mark.e2e

TOKEN = re.compile(r"^[A-Za-z0-9_-]{43}(?=\r?$)", re.M)
PASSWORD = "correct horse"
PEOPLE = 12


@pytest.fixture
def local(local_with_accounts: Local) -> Local:
    return local_with_accounts


def mails(local: Local, template: str, user_id: str) -> list[EmailMessage]:
    folder = local.state.home / "mail"
    found = [message_from_bytes(file.read_bytes(), policy=policy.default) for file in folder.glob("*.eml")]
    return [mail for mail in found if mail["Message-ID"].strip().startswith(f"<{template}.{user_id}.")]


def register(local: Local, email: str, newsletter: bool = False) -> str:
    with local.stranger() as client:
        body = {"email": email, "name": "Ann", "password": PASSWORD, "newsletter": newsletter}
        answer = client.post("/users", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]


def activate(local: Local, user_id: str) -> None:
    (mail,) = local.until(lambda: mails(local, "verification", user_id))
    token = TOKEN.search(mail.get_body(("plain",)).get_content())
    assert token is not None
    with local.stranger() as client:
        answer = client.post(f"/users/{user_id}/activate", json={"token": token[0]})
    assert (answer.status_code, answer.json()["status"]) == (200, "active")


def login(local: Local, email: str) -> dict[str, str]:
    form = {"grant_type": "password", "username": email, "password": PASSWORD}
    with local.stranger() as client:
        token = client.post("/token", data=form).raise_for_status().json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def test_a_new_customer_gets_the_onboarding_mails_when_they_are_due(local):
    local.until(lambda: local.quick_status()["processes"] == 0)
    user_id = register(local, "ann@example.com", newsletter=True)
    silent_id = register(local, "bob@example.com")
    gone_id = register(local, "cid@example.com", newsletter=True)
    for each in (user_id, silent_id, gone_id):
        activate(local, each)
    bob, cid = login(local, "bob@example.com"), login(local, "cid@example.com")
    with local.stranger() as client:
        answer = client.patch(f"/users/{silent_id}/preferences", json={"notifications": False}, headers=bob)
        assert answer.status_code == 200
        assert client.delete(f"/users/{gone_id}", headers=cid).status_code == 204
    for service in ("users", "scheduler", "notifications"):
        status = local.quick_status()["services"][service]
        for pid in status["pids"]:
            os.kill(pid, signal.SIGKILL)
        # while Kafka is slow, a process answers before it publishes; what it leaves, the next process publishes
        local.until(lambda url=status["url"]: httpx.get(f"{url}/healthz/ready", timeout=SECONDS_MAX).is_success)
    local.until(lambda: mails(local, "welcome_tips", user_id))
    local.until(lambda: mails(local, "follow_up", user_id))
    local.until(lambda: local.quick_status()["processes"] == 0)
    for template, each, wanted in (
        ("activated", user_id, 1),
        ("welcome_tips", user_id, 1),
        ("follow_up", user_id, 1),
        ("welcome_tips", silent_id, 0),
        ("welcome_tips", gone_id, 0),
        ("follow_up", gone_id, 0),
    ):
        assert len(mails(local, template, each)) == wanted, (template, each)
    status = local.status()
    assert status["outbox_depth"] == status["dead_letters"] == 0


def test_a_token_is_valid_after_the_process_that_issued_it_ended(local):
    activate(local, register(local, "eve@example.com"))
    form = {"grant_type": "password", "username": "eve@example.com", "password": PASSWORD}
    with local.stranger() as client:
        first = client.post("/token", data=form).raise_for_status().json()
        keys = client.get("/.well-known/jwks.json").raise_for_status().json()["keys"]
        for pid in local.quick_status()["services"]["users"]["pids"]:
            os.kill(pid, signal.SIGKILL)
        # a POST on the edge's connection to the dead process would be refused; a GET is tried again on a new one
        assert client.get("/.well-known/jwks.json").json()["keys"] == keys
        again = client.post("/token", data={"grant_type": "refresh_token", "refresh_token": first["refresh_token"]})
        assert again.status_code == 200, again.text
    kid = jwt.get_unverified_header(again.json()["access_token"])["kid"]
    assert [key["kid"] for key in keys] == [kid]
    secrets = local.state.home / "secrets.json"
    assert secrets.stat().st_mode & 0o777 == 0o600


async def order_by_themselves(local, tmp_path: Path) -> tuple[Replay, list[str]]:
    rows = [sold(str(number), customer=str(number), minute=number) for number in range(1, PEOPLE + 1)]
    plan = OrderSource(file_of(tmp_path, *rows), faults=False)
    async with Edge(local.running.edge_url, local.credentials.token) as edge:
        people = CustomerLogins(edge, MailFolder(local.state.home / "mail"), "a secret", "people")
        replay = Replay(edge, plan, "people", people)
        await carry_out(replay, survey(plan, customers=True), edge, "people", people)
        found = [await people.of(str(number)) for number in range(1, PEOPLE + 1)]
    return replay, [person.user_id for person in found if person]


def test_each_customer_of_a_replay_places_orders_with_a_token_of_their_own(local, tmp_path):
    assert RATES["register"].burst < PEOPLE  # from one address, this many would have to wait for minutes
    replay, user_ids = asyncio.run(order_by_themselves(local, tmp_path))
    assert len(set(user_ids)) == replay.outcome.placed == PEOPLE
    with local.client() as client:
        owners = {client.get(f"/orders/{order_id}").json()["customer_id"] for order_id in replay.journal.order_ids()}
    assert owners == set(user_ids)
