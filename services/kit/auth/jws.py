"""Checking the signature of a JWT: JWS compact serialization (RFC 7515), with the keys' own algorithms only.

It does not use PyJWT, because of the cold start: a service that an event wakes checks one token, and importing PyJWT
takes 45 ms, `cryptography` alone 8 ms (docs/decisions/0008-access.md). Signing uses PyJWT.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from services.kit.domain.errors import Unreadable
from services.kit.wire.strict_json import read_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    Key = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

__all__ = ["BadKeyError", "Jws", "PublicKey", "UnsignedError", "public_key"]

RSA_BITS_MIN = 2_048
RSA_BITS_MAX = 8_192
COORDINATE_BYTES = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


class UnsignedError(Exception):
    """The text is no JWS, or another key made its signature."""


class BadKeyError(Exception):
    """The JWK is not a public key that can verify tokens."""


def decoded(text: str) -> bytes:
    """Base64url without padding (RFC 7515, section 2), in its one canonical form; ValueError for any other text."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("not canonical")
    return data


@dataclass(frozen=True, slots=True)
class Jws:
    """The parts of a token; they are not trusted before `verify`."""

    header: Mapping[str, Any]
    payload: Mapping[str, Any]
    signed: bytes
    signature: bytes

    @classmethod
    def parse(cls, token: str) -> Jws:
        """The parts of a compact JWS whose header and payload are JSON objects; UnsignedError if it is none."""
        try:
            head, payload, signature = token.split(".")
            return cls(
                _object(decoded(head)),
                _object(decoded(payload)),
                f"{head}.{payload}".encode("ascii"),
                decoded(signature),
            )
        except (ValueError, Unreadable) as error:
            raise UnsignedError("it is not a JWT") from error

    def verify(self, key: PublicKey) -> None:
        """Return if the key signed this, by its own algorithm; UnsignedError otherwise."""
        if self.header.get("alg") != key.algorithm or "crit" in self.header or "b64" in self.header:
            raise UnsignedError(
                f"its header must name the algorithm {key.algorithm} of the key, and neither crit nor b64"
            )
        key.verify(self.signature, self.signed)


def _object(data: bytes) -> Mapping[str, Any]:
    value = read_json(data)
    if not isinstance(value, dict):
        raise ValueError("no object")
    return cast("dict[str, Any]", value)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key and the one algorithm (RFC 7518, RFC 8037) that it is used with."""

    algorithm: str
    key: Key

    def verify(self, signature: bytes, signed: bytes) -> None:
        """Return if this is the signature; UnsignedError otherwise."""
        from cryptography.exceptions import InvalidSignature

        try:
            _CHECKS[self.algorithm](self.key, signature, signed)
        except (InvalidSignature, ValueError) as error:
            raise UnsignedError("its signature is wrong") from error


def _check_eddsa(key: Any, signature: bytes, signed: bytes) -> None:
    key.verify(signature, signed)


def _check_es256(key: Any, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    if len(signature) != 2 * COORDINATE_BYTES:
        raise ValueError("not r and s")
    r, s = signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]
    key.verify(encode_dss_signature(int.from_bytes(r), int.from_bytes(s)), signed, ECDSA(SHA256()))


def _check_rs256(key: Any, signature: bytes, signed: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    key.verify(signature, signed, PKCS1v15(), SHA256())


_CHECKS = {"EdDSA": _check_eddsa, "ES256": _check_es256, "RS256": _check_rs256}


def public_key(jwk: Mapping[str, Any]) -> PublicKey:
    """The key of a JWK (RFC 7517); BadKeyError if it is private, weak, not for signatures or of another kind."""
    if "d" in jwk or "k" in jwk or jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        raise BadKeyError("it is not a public signature key")
    maker = _MAKERS.get((str(jwk.get("kty")), str(jwk.get("crv", ""))))
    if maker is None:
        raise BadKeyError("its kind is not supported")
    try:
        made = maker(jwk)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadKeyError("it cannot be read") from error
    if jwk.get("alg", made.algorithm) != made.algorithm:
        raise BadKeyError("it is for another algorithm")
    return made


def _ed25519(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return PublicKey("EdDSA", Ed25519PublicKey.from_public_bytes(decoded(jwk["x"])))


def _p256(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

    numbers = EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), SECP256R1())
    return PublicKey("ES256", numbers.public_key())


def _rsa(jwk: Mapping[str, Any]) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

    numbers = RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"]))
    if not RSA_BITS_MIN <= numbers.n.bit_length() <= RSA_BITS_MAX:
        raise ValueError("too short, or too long")
    return PublicKey("RS256", numbers.public_key())


def _number(text: str) -> int:
    return int.from_bytes(decoded(text))


_MAKERS = {("OKP", "Ed25519"): _ed25519, ("EC", "P-256"): _p256, ("RSA", ""): _rsa}
