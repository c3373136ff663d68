"""Access: forged tokens are refused, every route has its scope, and no customer reaches the data of another."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from scripts.openapi import every_service, routes_of
from services.contracts.scopes import EVERY_SCOPE
from services.kit.auth.access import Access, Anybody, Public, check_rules, rule_of
from services.kit.auth.jwks import GivenKeys, KeySet
from services.kit.auth.jws import Jws, UnsignedError, public_key
from services.kit.auth.tokens import (
    CLOCK_SKEW_SECONDS,
    LIFETIME_SECONDS_MAX,
    TOKEN_CHARS_MAX,
    Trust,
    Verifier,
    verifier,
)
from services.kit.config.secrets import plain
from services.kit.config.settings import Settings
from services.kit.domain.errors import Unauthenticated, ZerocartError
from services.kit.rest.app import json_router
from tests.services import read_side
from tests.services.system import ADDRESS, order, running
from tests.tokens import AUDIENCE, ISSUER, KEY, KEY_ID, TRUST, authorization, claims, customer, jwk, key_set, signed

ANN, BOB = "usr_ann", "usr_bob"
OTHER = ed25519.Ed25519PrivateKey.generate()
RAW_PUBLIC = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def believer(**settings: Any) -> Verifier:
    return verifier(Settings(service="orders", **{**TRUST, **settings}))


def segment(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unsigned(header: dict[str, Any], payload: Any, signature: bytes = b"") -> str:
    return f"{segment(header)}.{segment(payload)}.{segment(signature)}"


def hmac_signed(secret: bytes, algorithm: str = "HS256") -> str:
    """A token whose HMAC uses the public key as a shared secret: the classic confusion of algorithms."""
    head = f"{segment({'alg': algorithm, 'typ': 'at+jwt', 'kid': KEY_ID})}.{segment(claims())}"
    return f"{head}.{segment(hmac.new(secret, head.encode(), hashlib.sha256).digest())}"


def tampered(token: str) -> str:
    head, payload, signature = token.split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{head}.{segment({**body, 'sub': 'usr_admin'})}.{signature}"


RSA = rsa.generate_private_key(65537, 2048)
GOOD_TOKEN = signed(claims())
FORGERIES = {
    "nothing": "",
    "no token": "abc",
    "two parts": "a.b",
    "four parts": signed(claims()) + ".x",
    "alg none": unsigned({"alg": "none", "typ": "at+jwt", "kid": KEY_ID}, claims()),
    "alg None": unsigned({"alg": "None", "typ": "at+jwt", "kid": KEY_ID}, claims()),
    "alg missing": unsigned({"typ": "at+jwt", "kid": KEY_ID}, claims()),
    "HMAC with the public key": hmac_signed(RAW_PUBLIC),
    "HMAC with the raw public key": hmac_signed(KEY.public_key().public_bytes_raw()),
    "HMAC said to be EdDSA": hmac_signed(RAW_PUBLIC, "EdDSA"),
    "another key": signed(claims(), OTHER),
    "another algorithm": signed(claims(), RSA, "RS256"),
    "another key brought along": signed(claims(), OTHER, jwk=jwk(OTHER), kid=KEY_ID),
    "a key to be fetched": signed(claims(), OTHER, jku="http://127.0.0.1:1/keys", x5u="http://127.0.0.1:1/keys"),
    "kid unknown": signed(claims(), kid="nobody"),
    "kid as a path": signed(claims(), kid="../../../../dev/null"),
    "kid as SQL": signed(claims(), kid="' OR 1=1 --"),
    "kid missing": unsigned({"alg": "EdDSA", "typ": "at+jwt"}, claims(), b"x" * 64),
    "kid no text": unsigned({"alg": "EdDSA", "typ": "at+jwt", "kid": [KEY_ID]}, claims(), b"x" * 64),
    "tampered": tampered(signed(claims())),
    "signature missing": signed(claims()).rpartition(".")[0] + ".",
    "no expiry": signed(claims(exp=None)),
    "no subject": signed(claims(sub=None)),
    "no audience": signed(claims(aud=None)),
    "no issue time": signed(claims(iat=None)),
    "wrong audience": signed(claims(aud="others")),
    "audience contained": signed(claims(aud=f"{AUDIENCE}-others")),
    "wrong issuer": signed(claims(iss="https://elsewhere.example")),
    "issuer contained": signed(claims(iss=f"{ISSUER}.evil.example")),
    "subject too long": signed(claims(sub="x" * 65)),
    "subject with a line break": signed(claims(sub="usr_1\r\nBcc: x@example.com")),
    "subject with a space": signed(claims(sub="operator POST /orders")),
    "subject that no broker passes on": signed(claims(sub="a%b")),
    "subject of another script": signed(claims(sub="usr_\u0430nn")),
    "subject empty": signed(claims(sub="")),
    "expiry as text": unsigned({"alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID}, claims(exp="soon"), b"x" * 64),
    "expiry infinite": unsigned({"alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID}, b'{"exp":1e999}', b"x" * 64),
    "an id token": signed(claims(), typ="JWT"),
    "no type": signed(claims(), typ=None),
    "critical extension": signed(claims(), crit=["exp"], exp=1),
    "padded": signed(claims()) + "=",
    "signature not canonical": GOOD_TOKEN[:-1] + ("B" if GOOD_TOKEN[-1] == "A" else "x"),
    "base64 of another alphabet": GOOD_TOKEN.replace("_", "/").replace("-", "+") + "+",
    "claims twice": unsigned({"alg": "EdDSA", "kid": KEY_ID}, b'{"sub":1,"sub":2}', b"x" * 64),
    "expiry as truth": signed(claims(exp=True)),
    "audience an object": signed(claims(aud={"zerocart": 1})),
    "subject a number": unsigned({"alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID}, claims() | {"sub": 7}, b"x" * 64),
    "payload no object": unsigned({"alg": "EdDSA", "typ": "at+jwt", "kid": KEY_ID}, [1], b"x" * 64),
    "oversized": signed(claims(scope="x" * TOKEN_CHARS_MAX)),
    "not ASCII": signed(claims()) + "é",
    "deep": unsigned({"alg": "EdDSA", "kid": KEY_ID}, b"[" * 4000 + b"]" * 4000),
}


async def test_a_valid_token_is_accepted_the_first_time_and_from_the_cache():
    trusting = believer()
    token = signed(claims(ANN, "orders:read orders:write"))
    for _ in range(3):
        found = await trusting.verify(token)
        assert (found.subject, found.scopes) == (ANN, {"orders:read", "orders:write"})


@pytest.mark.parametrize("name", FORGERIES)
async def test_a_forged_token_is_refused(name):
    with pytest.raises(Unauthenticated):
        await believer().verify(FORGERIES[name])


TIMES: dict[str, dict[str, int]] = {
    "expired": {"exp": -60, "iat": -600, "nbf": -600},
    "not yet": {"nbf": 600},
    "made in the future": {"iat": 600},
    "lives for ever": {"exp": LIFETIME_SECONDS_MAX + 3600},
}
"""In seconds from the moment at which the token is shown, which is minutes after this module was imported."""


@pytest.mark.parametrize("name", TIMES)
async def test_an_expired_or_future_token_is_refused(name):
    now = int(time.time())
    with pytest.raises(Unauthenticated):
        await believer().verify(signed(claims() | {claim: now + away for claim, away in TIMES[name].items()}))


async def test_a_cached_token_is_refused_after_it_expired():
    start = int(time.time())
    now = [float(start)]
    trusting = Verifier([Trust(ISSUER, AUDIENCE, GivenKeys(TRUST["token_keys"]))], lambda: now[0])
    token = signed(claims(exp=start + 60, iat=start, nbf=start))
    assert await trusting.verify(token)
    now[0] = start + 60 + CLOCK_SKEW_SECONDS - 1  # clocks differ a little
    assert await trusting.verify(token)
    now[0] = start + 60 + CLOCK_SKEW_SECONDS
    with pytest.raises(Unauthenticated):
        await trusting.verify(token)


EC = ec.generate_private_key(ec.SECP256R1())


def ec_jwk() -> dict[str, str]:
    point = EC.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": segment(point.x.to_bytes(32)),
        "y": segment(point.y.to_bytes(32)),
        "kid": "ec",
    }


async def test_tokens_that_pyjwt_signs_are_verified_for_every_algorithm():
    numbers = RSA.public_key().public_numbers()
    rsa_jwk = {"kty": "RSA", "n": segment(numbers.n.to_bytes(256)), "e": "AQAB", "kid": "rsa", "alg": "RS256"}
    trusting = believer(token_keys=plain(key_set(jwk(KEY), ec_jwk(), rsa_jwk)))
    honest = [signed(claims()), signed(claims(), EC, "ES256", kid="ec"), signed(claims(), RSA, "RS256", kid="rsa")]
    for token in honest:
        assert (await trusting.verify(token)).subject == "operator"
        head, payload, signature = token.split(".")
        flipped = bytearray(base64.urlsafe_b64decode(signature + "=="))
        for place in (0, len(flipped) // 2, -1):
            flipped[place] ^= 1
            with pytest.raises(Unauthenticated):
                await believer(token_keys=plain(key_set(jwk(KEY), ec_jwk(), rsa_jwk))).verify(
                    f"{head}.{payload}.{segment(bytes(flipped))}"
                )
    for confused in (signed(claims(), RSA, "PS256", kid="rsa"), signed(claims(), RSA, "RS512", kid="rsa")):
        with pytest.raises(Unauthenticated):
            await trusting.verify(confused)
    for key_id in ("ec", "rsa"):
        with pytest.raises(Unauthenticated):
            await trusting.verify(signed(claims(), kid=key_id))


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_parsed_or_refused(text):
    try:
        Jws.parse(text)
    except UnsignedError:
        return


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_token_with_any_changed_character_is_refused(place, by):
    token = GOOD_TOKEN
    at = place % len(token)
    changed = token[:at] + chr((ord(token[at]) + by) % 128) + token[at + 1 :]
    if changed == token:
        return
    with pytest.raises(UnsignedError):
        jws = Jws.parse(changed)
        jws.verify(public_key(jwk(KEY)))


async def test_tokens_of_a_removed_key_are_refused():
    keys = [key_set(jwk(KEY), jwk(OTHER, "next"))]
    trusting = believer(token_keys=lambda: keys[0])
    old, new = signed(claims()), signed(claims(), OTHER, kid="next")
    assert await trusting.verify(old)
    assert await trusting.verify(new)
    keys[0] = key_set(jwk(OTHER, "next"))
    assert await trusting.verify(new)
    with pytest.raises(Unauthenticated):
        await trusting.verify(old)


async def test_tokens_of_an_outside_issuer_need_its_own_keys():
    numbers = RSA.public_key().public_numbers()
    n, e = (segment(i.to_bytes((i.bit_length() + 7) // 8)) for i in (numbers.n, numbers.e))
    outside = key_set({"kty": "RSA", "n": n, "e": e, "kid": "rsa", "use": "sig"})
    settings = {"outside_issuer": "https://id.example", "outside_audience": "shop", "outside_keys": plain(outside)}
    trusting = believer(**settings)
    payload = claims(ANN, iss="https://id.example", aud=["shop", "more"], scope=None, scp=["orders:read"])
    found = await trusting.verify(signed(payload, RSA, "RS256", kid="rsa", typ="JWT"))
    assert (found.subject, found.scopes) == (ANN, {"orders:read"})
    for forged in (
        signed(payload, KEY),
        signed(claims(), RSA, "RS256", kid="rsa"),
        signed({**payload, "aud": AUDIENCE}),
    ):
        with pytest.raises(Unauthenticated):
            await trusting.verify(forged)


@pytest.mark.parametrize(
    "bad",
    [
        {"kty": "oct", "k": segment(b"x" * 32), "kid": "s", "alg": "HS256"},
        {**jwk(KEY), "use": "enc"},
        {**jwk(KEY), "d": "private"},
        {**jwk(KEY), "alg": "HS256"},
        {**jwk(KEY), "x": "short"},
        {name: value for name, value in jwk(KEY).items() if name != "kid"},
    ],
)
def test_untrustworthy_keys_are_refused(bad):
    with pytest.raises(ZerocartError):
        KeySet.read(key_set(bad))


def test_short_keys_and_other_curves_are_refused():
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    short = {"kty": "RSA", "n": segment(numbers.n.to_bytes(128)), "e": "AQAB", "kid": "r"}
    point = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    odd = {
        "kty": "EC",
        "crv": "P-384",
        "x": segment(point.x.to_bytes(48)),
        "y": segment(point.y.to_bytes(48)),
        "kid": "e",
    }
    for key in (short, odd):
        with pytest.raises(ZerocartError):
            KeySet.read(key_set(key))


async def test_without_keys_a_request_with_a_token_gets_503(database):
    async with running(database, token_keys=plain("")) as system:
        answer = await system.place(order(("mug", 1)))
        assert (answer.status_code, answer.json()["code"]) == (503, "no-keys")


async def test_a_refused_token_gets_401_or_403_with_the_reason(database):
    async with running(database) as system:
        body = order(("mug", 1))
        del system.orders.headers["Authorization"]

        async def refusal(headers: Any) -> tuple[int, str, str]:
            answer = await system.orders.post("/orders", json=body, headers=headers)
            assert answer.headers["content-type"] == "application/problem+json"
            return answer.status_code, answer.json()["code"], answer.headers["www-authenticate"]

        assert await refusal({}) == (401, "no-token", 'Bearer realm="zerocart"')
        invalid = (401, "invalid-token", 'Bearer realm="zerocart", error="invalid_token"')
        assert await refusal({"Authorization": "Bearer nonsense"}) == invalid
        assert await refusal({"Authorization": "Basic YTpi"}) == invalid
        assert await refusal({"Authorization": "Bearer "}) == invalid
        good = authorization()["Authorization"]
        assert await refusal([("Authorization", good), ("Authorization", good)]) == invalid
        lacking = 'Bearer realm="zerocart", error="insufficient_scope", scope="orders:write"'
        assert await refusal(customer(ANN, "orders:read")) == (403, "insufficient-scope", lacking)
        unread = await system.orders.post("/orders", content=b"x" * 2_000_000)
        assert unread.status_code == 401  # not 413: nobody reads it


PUBLIC_ROUTES = {
    "POST /users",
    "POST /users/{user_id}/verification",
    "POST /users/{user_id}/activate",
    "POST /password-reset",
    "POST /orders/lookup",
    "POST /payments/webhooks/stripe",
    "POST /password-reset/confirm",
    "POST /token",
    "GET /.well-known/jwks.json",
    "GET /products",
    "GET /products/{sku}",
}
SCOPES = {
    "GET /users/{user_id}": "users:read",
    "PUT /users/{user_id}": "users:write",
    "PATCH /users/{user_id}": "users:write",
    "DELETE /users/{user_id}": "users:write",
    "DELETE /persons/{person_id}": "users:admin",
    "GET /persons/{person_id}/export": "users:admin",
    "GET /users/me/export": "users:read",
    "GET /users/{user_id}/preferences": "users:read",
    "PUT /users/{user_id}/preferences": "users:write",
    "PATCH /users/{user_id}/preferences": "users:write",
    "POST /users/{user_id}/password": "users:write",
    "POST /users/{user_id}/suspend": "users:admin",
    "POST /users/{user_id}/reinstate": "users:admin",
    "DELETE /tokens/{subject}": "users:admin",
    "GET /staff": "access:read",
    "POST /staff": "access:write",
    "PUT /staff/{user_id}": "access:write",
    "DELETE /staff/{user_id}": "access:write",
    "GET /clients": "access:read",
    "POST /clients": "access:write",
    "POST /clients/{client_id}/rotate": "access:write",
    "DELETE /clients/{client_id}": "access:write",
    "POST /orders": "orders:write",
    "POST /quotes": "orders:write",
    "POST /orders/{order_id}/notes": "orders:write",
    "POST /orders/{order_id}/edits": "orders:write",
    "POST /orders/{order_id}/edits/preview": "orders:write",
    "POST /orders/{order_id}/hold": "orders:write",
    "POST /orders/{order_id}/release": "orders:write",
    "POST /orders/imports": "orders:import",
    "POST /orders/imports/undo": "orders:import",
    "PUT /orders/{order_id}": "orders:write",
    "POST /orders/{order_id}/submit": "orders:write",
    "PATCH /orders/{order_id}": "orders:write",
    "POST /orders/{order_id}/cancel": "orders:write",
    "GET /orders": "orders:read",
    "GET /orders/{order_id}": "orders:read",
    "GET /orders/{order_id}/invoice": "orders:read",
    "GET /orders/{order_id}/packing-slip": "orders:read",
    "GET /customers/{customer_id}/orders": "orders:read",
    "GET /analytics/orders": "analytics:read",
    "GET /analytics/confirmation-times": "analytics:read",
    "GET /stock": "stock:read",
    "GET /stock/{product_id}": "stock:read",
    "PUT /stock/{product_id}": "stock:write",
    "POST /stock/{product_id}/adjustments": "stock:write",
    "PUT /products/{sku}": "catalogue:write",
    "PATCH /products/{sku}": "catalogue:write",
    "DELETE /products/{sku}": "catalogue:write",
    "POST /products/imports": "catalogue:write",
    "GET /price-changes/{sku}": "catalogue:write",
    "GET /payments/{order_id}": "payments:read",
    "GET /payments/{order_id}/refundable": "payments:read",
    "POST /payments/{order_id}/refunds": "payments:write",
    "POST /payments/{order_id}/capture": "payments:write",
    "POST /payments/{order_id}/void": "payments:write",
    "GET /shipments/{order_id}": "shipments:read",
    "GET /notifications": "orders:read",
    "POST /shipments/{order_id}/tracking": "shipments:write",
    "GET /fulfillments/{order_id}": "fulfillments:read",
    "POST /fulfillments/{order_id}/resume": "fulfillments:write",
    "GET /projection/views": "operations:read",
    "GET /projection/views/{view}": "operations:write",
    "POST /projection/views/{view}/rebuild": "operations:write",
    "POST /projection/views/{view}/switch": "operations:write",
    "POST /projection/views/{view}/skip": "operations:write",
    "POST /projection/views/{view}/retry": "operations:write",
    "DELETE /projection/views/{view}/versions/{version}": "operations:write",
    "GET /audit": "audit:read",
    "GET /events": "events:read",
    "POST /webhooks": "webhooks:write",
    "GET /webhooks": "webhooks:read",
    "GET /webhooks/{endpoint_id}": "webhooks:read",
    "PATCH /webhooks/{endpoint_id}": "webhooks:write",
    "DELETE /webhooks/{endpoint_id}": "webhooks:write",
    "POST /webhooks/{endpoint_id}/secret": "webhooks:write",
    "POST /webhooks/{endpoint_id}/test": "webhooks:write",
    "POST /webhooks/{endpoint_id}/redeliver": "webhooks:write",
    "GET /webhooks/{endpoint_id}/deliveries": "webhooks:read",
    "GET /webhooks/{endpoint_id}/deliveries/{delivery_id}": "webhooks:read",
    "POST /webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver": "webhooks:write",
    "GET /dead-letters": "operations:read",
    "GET /dead-letters/{letter_id}": "operations:read",
    "POST /dead-letters/replay": "operations:write",
    "POST /dead-letters/{letter_id}/replay": "operations:write",
    "POST /dead-letters/{letter_id}/discard": "operations:write",
    "GET /operations/parked": "operations:read",
    "GET /operations/system": "operations:read",
    "POST /operations/parked/replay": "operations:write",
}


def test_every_route_has_the_scope_in_this_table():
    found: dict[str, str] = {}
    for route in (route for service in every_service().values() for route in routes_of(service)):
        rule = rule_of(route)
        for method in route.methods or ():
            found[f"{method} {route.path}"] = rule.scope if isinstance(rule, Access) else "public"
            assert isinstance(rule, Access | Anybody | Public)
    assert found == {**SCOPES, **dict.fromkeys(PUBLIC_ROUTES, "public")}


def test_every_scope_that_a_route_needs_can_be_granted():
    assert {*SCOPES.values(), "orders:admin", "orders:price"} == set(EVERY_SCOPE)


def test_a_route_without_a_rule_is_refused_when_the_service_is_built():
    routes = json_router()

    @routes.get("/secrets")
    async def secrets() -> None: ...

    with pytest.raises(ZerocartError, match="/secrets"):
        check_rules(routes.routes)


async def test_a_customer_cannot_read_or_change_the_order_of_another(database):
    async with running(database) as system:
        body = order(("mug", 1))
        placed = await system.orders.post("/orders?draft=true", json=body, headers=customer(ANN))
        assert placed.status_code == 201
        (drafted,) = await system.said("orders.order.drafted")
        assert drafted["customer_id"] == ANN  # without being said
        path = f"/orders/{placed.json()['order_id']}"
        attempts = [
            ("PUT", path, body),
            ("PATCH", path, {"notes": "mine now"}),
            ("POST", f"{path}/submit", None),
            ("POST", f"{path}/cancel", {"reason": "mine now"}),
        ]
        for method, url, content in attempts:
            answer = await system.orders.request(method, url, json=content, headers=customer(BOB))
            assert (answer.status_code, answer.json()["code"]) == (404, "order-not-found"), (method, url)
            unknown = url.replace(path, "/orders/ord_0")
            missing = await system.orders.request(method, unknown, json=content, headers=customer(BOB))
            # the answer names the id of the request, and is else the same as if the order did not exist
            assert missing.text.replace("ord_0", path.removeprefix("/orders/")) == answer.text
        for method, url, content in attempts:
            answer = await system.orders.request(method, url, json=content, headers=customer(ANN))
            assert answer.status_code in (200, 202), (method, url, answer.text)


async def test_a_customer_cannot_place_an_order_for_another(database):
    async with running(database) as system:
        body = order(("mug", 1)) | {"customer_id": ANN}
        assert (await system.orders.post("/orders", json=body, headers=customer(BOB))).status_code == 403
        draft = await system.orders.post("/orders?draft=true", json=order(("mug", 1)), headers=customer(BOB))
        path = f"/orders/{draft.json()['order_id']}"
        assert (await system.orders.put(path, json=body, headers=customer(BOB))).status_code == 403
        assert (await system.orders.post("/orders?draft=true", json=body)).status_code == 201  # staff may


async def test_only_staff_may_set_placed_at(database):
    async with running(database) as system:
        body = order(("mug", 1)) | {"placed_at": "2011-12-09T12:50:00Z"}
        assert (await system.orders.post("/orders", json=body, headers=customer(BOB))).status_code == 403
        assert (await system.orders.post("/orders?draft=true", json=body)).status_code == 201
        (drafted,) = await system.said("orders.order.drafted")
        assert drafted["placed_at"] == "2011-12-09T12:50:00Z"
        for wrong in (
            "2011-12-09", "2011-12-09T12:50:00", "9999-12-31T23:59:59-01:00", 1, "2999-01-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
        ):  # fmt: skip
            answer = await system.orders.post("/orders?draft=true", json=body | {"placed_at": wrong})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "placed_at"), wrong


async def test_an_idempotency_key_belongs_to_its_caller(database):
    async with running(database) as system:
        body, key = order(("mug", 1)), {"Idempotency-Key": "same"}
        answers = [
            await system.orders.post("/orders?draft=true", json=body, headers={**customer(who), **key})
            for who in (ANN, BOB)
        ]
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].json()["order_id"] != answers[1].json()["order_id"]
        assert "Idempotent-Replayed" not in answers[1].headers


async def test_a_customer_cannot_read_the_data_of_another(database):
    async with read_side.running(database) as side:
        for order_id, owner in (("1", ANN), ("2", BOB), ("3", None)):
            await side.show(await side.order(order_id, read_side.created(order_id, owner)))
        mine = (await side.query.get("/orders", headers=customer(ANN))).json()
        assert ([row["order_id"] for row in mine["orders"]], mine["total"]) == (["1"], 1)
        for path in ("/orders/2", "/orders/3", f"/customers/{BOB}/orders"):
            assert (await side.query.get(path, headers=customer(ANN))).status_code == 404
        assert (await side.query.get(f"/orders?customer_id={BOB}", headers=customer(ANN))).status_code == 403
        assert (await side.query.get("/orders/1", headers=customer(ANN))).status_code == 200
        assert (await side.query.get("/orders")).json()["total"] == 3  # staff


async def test_an_account_is_reachable_by_its_owner_and_staff_only(database):
    async with running(database) as system:
        body = {"email": "ann@example.com", "name": "Ann", "password": "correct horse"}
        user_id = (await system.users.post("/users", json=body)).json()["id"]
        path = f"/users/{user_id}"
        attempts = [
            ("GET", path, None), ("PUT", path, {"name": "Bob"}), ("PATCH", path, {"name": "Bob"}), ("DELETE", path, None),
            ("GET", f"{path}/preferences", None), ("PUT", f"{path}/preferences", {}), ("PATCH", f"{path}/preferences", {}),
            ("POST", f"{path}/password", {"current": "correct horse", "new": "wrong horse"}),
        ]  # fmt: skip
        for method, url, content in attempts:
            answer = await system.users.request(method, url, json=content, headers=customer("usr_" + "0" * 26))
            assert (answer.status_code, answer.json()["code"]) == (404, "user-not-found"), (method, url)
        for method, url, content in (("POST", f"{path}/suspend", {"reason": "x"}), ("POST", f"{path}/reinstate", None)):
            assert (await system.users.request(method, url, json=content, headers=customer(user_id))).status_code == 403
        assert (await system.users.get(path, headers=customer(user_id))).status_code == 200


async def test_a_run_is_shown_to_the_customer_of_its_order(database):
    async with running(database) as system:
        await system.stock("mug", 5)
        placed = await system.orders.post("/orders", json=order(("mug", 1)), headers=customer(ANN))
        await system.bus.quiet()
        path, client = f"/fulfillments/{placed.json()['order_id']}", system.bus.clients["fulfillment"]
        assert (await client.get(path, headers=customer(ANN))).status_code == 200
        assert (await client.get(path, headers=customer(BOB))).status_code == 404
        assert (await client.post(f"{path}/resume", headers=customer(ANN))).status_code == 403


async def test_a_customer_reads_the_payment_and_the_shipment_of_an_own_order(database):
    async with running(database) as system:
        await system.stock("mug", 5)
        placed = await asyncio.gather(
            system.orders.post("/orders", json=order(("mug", 1)), headers=customer(ANN)),
            system.place(order(("mug", 1), customer_id=ANN)),  # staff order for a customer
            system.place(order(("mug", 1), customer_id=ANN, token="tok_decline")),
            system.place(order(("mug", 1), customer_id=ANN, shipping_address={**ADDRESS, "country": "ZZ"})),
            system.place(order(("mug", 1))),  # of a guest
        )
        await system.at_rest()
        for number, answer in enumerate(placed):
            for kind, service in (("payments", "payments"), ("shipments", "shipping")):
                path, client = f"/{kind}/{answer.json()['order_id']}", system.bus.clients[service]
                assert (await client.get(path)).status_code == 200, (number, kind)
                found = await client.get(path, headers=customer(ANN))
                assert found.status_code == (404 if number == 4 else 200), (number, kind)
                assert (await client.get(path, headers=customer(BOB))).status_code == 404
                assert (await client.get(path, headers=customer(ANN, "orders:read"))).status_code == 403


async def test_an_event_endpoint_with_an_issuer_accepts_only_the_dispatcher(database):
    events: dict[str, Any] = {
        "events_issuer": "https://delivery.example",
        "events_keys": plain(key_set(jwk(OTHER, "delivery"))),
    }
    events["events_subjects"] = ("system:delivery",)
    event = {
        "ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": "zerocart.nobody.heard.v1",
        "ce-time": "2026-01-01T00:00:00Z", "content-type": "application/json",
    }  # fmt: skip

    def token(**more: Any) -> dict[str, str]:
        base: dict[str, Any] = {
            "iss": "https://delivery.example",
            "sub": "system:delivery",
            "aud": "zerocart/payments",
            "scope": None,
        }
        return {"Authorization": f"Bearer {signed(claims(**(base | more)), OTHER, kid='delivery', typ='JWT')}"}

    async with running(database, **events) as system:
        endpoint = system.bus.clients["payments"]

        async def status(headers: dict[str, str]) -> int:
            endpoint.headers.pop("Authorization", None)
            answer = await endpoint.post("/events", content=b"{}", headers={**event, **headers})
            return answer.status_code

        assert await status({}) == 401
        assert await status(authorization()) == 401  # a customer's or an operator's token is not the dispatcher's
        assert await status(token(aud="zerocart/orders")) == 401
        assert await status(token(sub="system:somebody")) == 401
        assert await status(token()) == 400  # let in, and the event is unknown here
        assert await system.rows("SELECT 1 FROM log.events") == []
