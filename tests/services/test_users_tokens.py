"""Access and refresh tokens: grants, claims, rotation, end of a login."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from services.kit.auth.signing import SigningKeys
from services.kit.domain.errors import RateLimited, ZerocartError
from services.kit.eventstore.postgres import PostgresEventStore
from services.users.attempts import FORGOTTEN_AFTER, FREE_ATTEMPTS, WAIT_SECONDS_MAX, Attempts
from services.users.roles import CUSTOMER_SCOPES
from services.users.tokens.clients import Clients
from tests.conftest import execute
from tests.services.system import CLIENT_SECRET, SECRETS, System, running, woken
from tests.services.test_users import ANN, active, ask, mails, register, token_in
from tests.waiting import SECONDS_MAX
from tools.knative_local.secrets import signing_key

LOGIN = {"grant_type": "password", "username": ANN["email"], "password": ANN["password"]}
BASIC = httpx.BasicAuth("shop", CLIENT_SECRET)


async def tokens(system: System, **more: str) -> dict[str, Any]:
    answer = await ask(system, LOGIN | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def refresh(system: System, token: str, **more: str) -> httpx.Response:
    return await ask(system, {"grant_type": "refresh_token", "refresh_token": token, **more})


async def claims(system: System, token: str) -> dict[str, Any]:
    answer = await system.users.get("/.well-known/jwks.json")
    assert "max-age" in answer.headers["cache-control"]
    keys = {key["kid"]: jwt.PyJWK(key) for key in answer.json()["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["EdDSA"], audience="zerocart", issuer="https://zerocart.example")


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["cache-control"] == "no-store"
    assert set(answer.json()) == {"error", "error_description"}
    return answer.status_code, answer.json()["error"]


async def test_a_registration_wakes_other_services_and_a_login_does_not(database):
    async with woken() as (url, heard), running(database, service_urls={"notifications": url}) as system:
        assert (await ask(system, {"grant_type": "client_credentials"}, auth=BASIC)).status_code == 200
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard.wait(), 0.2)
        await register(system)
        await asyncio.wait_for(heard.wait(), SECONDS_MAX)


async def test_a_token_has_subject_scopes_and_expiry(database):
    async with running(database) as system:
        user_id = await active(system)
        answer = await ask(system, LOGIN | {"username": " ann@EXAMPLE.com"})
        body = answer.json()
        assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 900, " ".join(CUSTOMER_SCOPES))
        assert answer.headers["cache-control"] == "no-store"
        said = await claims(system, body["access_token"])
        assert (said["sub"], said["scope"]) == (user_id, body["scope"])
        assert 899 < said["exp"] - said["iat"] <= 900
        assert abs(said["nbf"] - time.time()) < 60
        assert jwt.get_unverified_header(body["access_token"])["typ"] == "at+jwt"
        again = await claims(system, (await tokens(system))["access_token"])
        assert again["jti"] != said["jti"]
        some = await tokens(system, scope="orders:write orders:read")
        assert some["scope"] == "orders:read orders:write"


async def test_wrong_credentials_get_no_token(database):
    async with running(database) as system:
        user_id = await active(system)
        await register(system, email="pending@example.com")
        for wrong in (
            {"password": "wrong horse"},
            {"username": "nobody@example.com"},
            {"username": "pending@example.com"},
        ):
            assert refused(await ask(system, LOGIN | wrong)) == (400, "invalid_grant")
        details = {
            (await ask(system, LOGIN | {"username": f"{name}@example.com"})).text for name in ("pending", "nobody")
        }
        assert len(details) == 1
        assert refused(await ask(system, LOGIN | {"scope": "users:admin"})) == (400, "invalid_scope")
        login = await tokens(system)
        await system.users.post(f"/users/{user_id}/suspend", json={"reason": "x"})
        assert refused(await ask(system, LOGIN)) == (400, "invalid_grant")
        assert refused(await refresh(system, login["refresh_token"])) == (400, "invalid_grant")
        await system.users.delete(f"/users/{user_id}")
        assert refused(await ask(system, LOGIN)) == (400, "invalid_grant")


async def test_malformed_token_requests_are_refused(database):
    async with running(database) as system:
        assert refused(await ask(system, {})) == (400, "invalid_request")
        assert refused(await ask(system, {"grant_type": "magic"})) == (400, "unsupported_grant_type")
        assert refused(await ask(system, {"grant_type": "password", "username": "x", "password": ""})) == (
            400,
            "invalid_request",
        )
        assert refused(await ask(system, json=LOGIN)) == (400, "invalid_request")
        form = {"content-type": "application/x-www-form-urlencoded"}
        for bad in (
            "grant_type=password&grant_type=password",
            "grant_type=%ff",
            "é=1",
            "a",
            "a=%00",
            "&".join(f"a{n}=1" for n in range(30)),
        ):
            assert refused(await ask(system, content=bad, headers=form)) == (400, "invalid_request"), bad
        huge = await ask(system, content="a=" + "x" * 20_000, headers=form)
        assert huge.status_code == 413
        assert (await system.users.get("/token")).status_code == 405


async def test_an_api_client_gets_a_token_with_its_scopes(database):
    grant = {"grant_type": "client_credentials"}
    async with running(database) as system:
        answer = await ask(system, grant, auth=BASIC)
        body = answer.json()
        assert "refresh_token" not in body
        said = await claims(system, body["access_token"])
        assert (said["sub"], said["client_id"], said["scope"]) == ("shop", "shop", "orders:read users:admin")
        in_body = await ask(
            system, grant | {"client_id": "shop", "client_secret": CLIENT_SECRET, "scope": "orders:read"}
        )
        assert in_body.json()["scope"] == "orders:read"
        assert refused(await ask(system, grant | {"scope": "orders:write"}, auth=BASIC)) == (400, "invalid_scope")
        for client, secret in (("shop", "wrong"), ("nobody", CLIENT_SECRET)):
            answer = await ask(system, grant, auth=httpx.BasicAuth(client, secret))
            assert refused(answer) == (401, "invalid_client")
            assert answer.headers["www-authenticate"].startswith("Basic ")
            in_body = await ask(system, grant | {"client_id": client, "client_secret": secret})
            assert refused(in_body) == (401, "invalid_client")
        for header in ("Bearer x", "Basic", "Basic %%%", "Basic c2hvcA=="):
            assert refused(await ask(system, grant, headers={"Authorization": header})) == (401, "invalid_client")
        assert refused(await ask(system, grant)) == (401, "invalid_client")
        twice = await ask(system, grant | {"client_secret": CLIENT_SECRET}, auth=BASIC)
        assert refused(twice) == (400, "invalid_request")


async def test_a_refresh_token_works_once(database):
    async with running(database) as system:
        user_id = await active(system)
        first = await tokens(system)
        second = (await refresh(system, first["refresh_token"])).json()
        assert (await claims(system, second["access_token"]))["sub"] == user_id
        assert refused(await refresh(system, second["refresh_token"], scope="users:admin")) == (400, "invalid_scope")
        less = (await refresh(system, second["refresh_token"], scope="orders:read")).json()
        assert less["scope"] == "orders:read"
        whole = (await refresh(system, less["refresh_token"])).json()
        assert whole["scope"] == " ".join(CUSTOMER_SCOPES)
        other = await tokens(system)
        assert refused(await refresh(system, first["refresh_token"])) == (400, "invalid_grant")
        assert refused(await refresh(system, whole["refresh_token"])) == (400, "invalid_grant")  # its family has ended
        assert (await refresh(system, other["refresh_token"])).status_code == 200
        assert refused(await refresh(system, "made up")) == (400, "invalid_grant")
        kept = str(await system.rows("SELECT * FROM users.refresh_tokens"))
        assert other["refresh_token"] not in kept


async def test_a_refresh_cannot_widen_the_scopes(database):
    async with running(database) as system:
        await active(system)
        login = await tokens(system, scope="orders:read")
        assert refused(await refresh(system, login["refresh_token"], scope="orders:write")) == (400, "invalid_scope")
        assert (await refresh(system, login["refresh_token"])).json()["scope"] == "orders:read"


async def test_a_refresh_token_used_20_times_at_once_works_once(database):
    async with running(database) as system:
        await active(system)
        login = await tokens(system)
        answers = await asyncio.gather(*(refresh(system, login["refresh_token"]) for _ in range(20)))
        assert Counter(answer.status_code for answer in answers) == {200: 1, 400: 19}
        (won,) = [answer.json() for answer in answers if answer.status_code == 200]
        assert refused(await refresh(system, won["refresh_token"])) == (400, "invalid_grant")
        assert await system.rows("SELECT * FROM users.refresh_tokens") == []


async def test_a_login_ends_at_its_maximum_age(database):
    async with running(database) as system:
        await active(system)
        login = await tokens(system)
        await execute(database.owner_dsn, "UPDATE users.refresh_tokens SET expires_at = now() - interval '1 s'")
        assert refused(await refresh(system, login["refresh_token"])) == (400, "invalid_grant")
        await tokens(system)
        assert len(await system.rows("SELECT * FROM users.refresh_tokens")) == 1


async def test_a_new_password_ends_every_login(database):
    async with running(database) as system:
        user_id = await active(system)
        login, url = await tokens(system), f"/users/{user_id}/password"
        new = {"current": ANN["password"], "new": "battery staple"}
        wrong = await system.users.post(url, json=new | {"current": "wrong horse"})
        assert (wrong.status_code, wrong.json()["code"]) == (422, "wrong-password")
        answers = [await system.users.post(url, json=new, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [204, 204]
        assert answers[1].headers["idempotent-replayed"] == "true"
        assert refused(await refresh(system, login["refresh_token"])) == (400, "invalid_grant")
        assert refused(await ask(system, LOGIN)) == (400, "invalid_grant")
        await tokens(system, password="battery staple")
        await system.bus.quiet()
        assert len(mails(system, "password_changed")) == 1


async def test_a_forgotten_password_is_reset_by_mail(database):
    async with running(database) as system:
        user_id = await active(system)
        login = await tokens(system)
        for email in ("nobody@example.com", "ANN@example.com", "ann@example.com"):
            answer = await system.users.post("/password-reset", json={"email": email})
            assert (answer.status_code, answer.content, set(answer.headers)) == (
                202,
                b"{}",
                {"content-type", "content-length", "traceresponse"},
            )
        await system.bus.quiet()
        (mail,) = mails(system, "password_reset")
        token = token_in(mail)
        confirm = {"token": token, "new": "battery staple"}
        for bad in (token[:-1], token.partition(".")[2], f"{user_id}.", "usr_x.y"):
            answer = await system.users.post("/password-reset/confirm", json=confirm | {"token": bad})
            assert (answer.status_code, answer.json()["code"]) == (422, "bad-token")
        once = {"Idempotency-Key": "k"}
        answers = [await system.users.post("/password-reset/confirm", json=confirm, headers=once) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [204, 204]
        answer = await system.users.post("/password-reset/confirm", json=confirm)
        assert (answer.status_code, answer.json()["code"]) == (422, "bad-token")
        assert refused(await refresh(system, login["refresh_token"])) == (400, "invalid_grant")
        await tokens(system, password="battery staple")


async def test_password_guesses_are_slowed_down_and_reveal_nothing(database):
    async with running(database) as system:
        await active(system)
        seen = {}
        for name in ("ann", "nobody"):
            form = LOGIN | {"username": f"{name}@example.com", "password": "guess"}
            answers = await asyncio.gather(*(ask(system, form) for _ in range(4 * FREE_ATTEMPTS)))
            seen[name] = Counter(refused(answer) for answer in answers)
            assert {a.headers["retry-after"] for a in answers if a.status_code == 429} <= {"1", "2"}
        assert seen["ann"] == seen["nobody"] == {(400, "invalid_grant"): 5, (429, "temporarily_unavailable"): 15}
        await execute(database.owner_dsn, "UPDATE users.attempts SET not_before = now() + interval '1 h'")
        answer = await ask(system, LOGIN)
        assert refused(answer) == (429, "temporarily_unavailable")
        assert 3_500 < int(answer.headers["retry-after"]) <= 3_600
        await execute(database.owner_dsn, "UPDATE users.attempts SET not_before = now()")
        await tokens(system)
        assert len(await system.rows("SELECT * FROM users.attempts")) == 1


async def test_waits_double_up_to_a_quarter_of_an_hour(database):
    now = datetime(2026, 1, 1, tzinfo=UTC)
    store = PostgresEventStore(database.dsn("users"), "users")
    attempts, waits = Attempts(store), []
    for _ in range(20):
        await attempts.begin(b"x", now)
        try:
            await attempts.begin(b"x", now)
        except RateLimited as error:
            waits.append(error.retry_after_seconds)
            now += timedelta(seconds=error.retry_after_seconds)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, *[WAIT_SECONDS_MAX] * (len(waits) - 10)]
    await attempts.begin(b"y", now + FORGOTTEN_AFTER)
    assert len(await store.connections.fetch("SELECT * FROM attempts")) == 1
    await store.close()


async def test_a_hash_with_old_parameters_is_renewed_at_login(database):
    from argon2 import PasswordHasher

    async with running(database) as system:
        await active(system)
        old = PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(ANN["password"])
        await execute(database.owner_dsn, f"UPDATE users.accounts SET password_hash = '{old}'")
        await tokens(system)
        (row,) = await system.rows("SELECT password_hash FROM users.accounts")
        assert row["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        await tokens(system)


async def test_signing_keys_are_rotated_without_an_interruption(database):
    old, new = SECRETS["signing_keys"](), signing_key()
    async with running(database) as system:
        await active(system)
        token = (await tokens(system))["access_token"]
    rotated = {"pem": old}
    async with running(database, signing_keys=lambda: rotated["pem"]) as system:
        await tokens(system)
        rotated["pem"] = new + old
        assert (await claims(system, token))["sub"].startswith("usr_")
        later = (await tokens(system))["access_token"]
        assert jwt.get_unverified_header(later)["kid"] != jwt.get_unverified_header(token)["kid"]
        keys = (await system.users.get("/.well-known/jwks.json")).json()["keys"]
        assert [set(key) for key in keys] == 2 * [{"kty", "crv", "x", "use", "alg", "kid"}]


async def test_the_event_loop_runs_while_passwords_are_checked(database):
    async with running(database) as system:
        await active(system)
        gaps: list[float] = []

        async def tick() -> None:
            while True:
                before = time.perf_counter()
                await asyncio.sleep(0.001)
                gaps.append(time.perf_counter() - before)

        ticking = asyncio.create_task(tick())
        for _ in range(4):
            await asyncio.gather(*(tokens(system) for _ in range(4)))
        ticking.cancel()
        assert len(gaps) > 20  # a blocked loop would tick about once for each password


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"])
def test_bad_signing_keys_are_named(pem):
    with pytest.raises(ZerocartError, match="signing key"):
        SigningKeys(pem, "x", "y").published()


@pytest.mark.parametrize("text", ["{", '{"a": {}}', '{"usr_1": {"secret_sha256": "' + "0" * 64 + '", "scopes": []}}'])
def test_bad_clients_are_named(text):
    with pytest.raises(ZerocartError, match="ZEROCART_CLIENTS"):
        Clients(text).authenticate("a", "b")
