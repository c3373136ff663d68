"""The public keys that verify tokens: a JWK set (RFC 7517) from a setting or from an address."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.kit.auth.jws import BadKeyError, PublicKey, public_key
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.resilience.outgoing import CallFailed, Policy, Target

__all__ = ["GivenKeys", "KeySet", "RemoteKeys", "keys_of"]

KEYS_MAX = 20
KEY_SET_BYTES_MAX = 65_536
KEYS_TRUSTED_SECONDS = 300.0
"""How long fetched keys are used before the next fetch; for this time a removed key is still trusted."""
KEYS_STALE_SECONDS_MAX = 3600.0
"""How long fetched keys are used while the address does not answer."""
FETCH_PAUSE_SECONDS = 10.0
"""The time between two fetches for unknown keys, because any token can name one."""
FIRST_FETCH_PAUSE_SECONDS = 0.5
FETCH_TIMEOUT_SECONDS = 3.0
FETCH_ATTEMPTS_MAX = 2


class KeySet:
    """Keys by their id."""

    def __init__(self, keys: Mapping[str, PublicKey]) -> None:
        self._keys = keys

    @classmethod
    def read(cls, text: str) -> KeySet:
        """The usable signature keys of a JWK set; ZerocartError if it is none or has no usable key."""
        try:
            found: object = json.loads(text)["keys"]
            keys = {str(jwk["kid"]): key for jwk in _members(found) if (key := _usable(jwk)) is not None}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ZerocartError("bad-setting", "the key set is not a JWK set (RFC 7517)") from error
        if not keys:
            raise ZerocartError("bad-setting", "the key set has no usable key")
        return cls(keys)

    def find(self, key_id: object) -> PublicKey | None:
        """The key of this id."""
        return self._keys.get(key_id) if isinstance(key_id, str) else None


def _members(found: object) -> Sequence[dict[str, Any]]:
    if not isinstance(found, list):
        raise TypeError("keys is no list")
    return [jwk for jwk in found[:KEYS_MAX] if isinstance(jwk, dict) and jwk.get("kid")]  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]


def _usable(jwk: Mapping[str, Any]) -> PublicKey | None:
    try:
        return public_key(jwk)
    except BadKeyError:
        return None


class GivenKeys:
    """A key set from a setting, read again when that changes."""

    def __init__(self, text: Secret) -> None:
        self._text = text
        self._read: tuple[str, KeySet] | None = None

    async def current(self, key_id: str) -> KeySet:
        """The keys now; Unavailable if the setting holds none."""
        text = self._text()
        if self._read is None or text != self._read[0]:
            try:
                self._read = (text, KeySet.read(text))
            except ZerocartError as error:
                raise Unavailable("no-keys", error.detail) from error
        return self._read[1]


class RemoteKeys:
    """A key set fetched from an address, cached."""

    def __init__(self, url: str, now: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._now = now
        policy = Policy(name="keys", timeout_seconds=FETCH_TIMEOUT_SECONDS, attempts_max=FETCH_ATTEMPTS_MAX)
        self._target = Target(policy, now)
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    async def current(self, key_id: str) -> KeySet:
        """The keys now; Unavailable if they never could be fetched, or too long ago."""
        if self._should_fetch(key_id):
            async with self._fetching:
                if self._should_fetch(key_id):
                    await self._fetch()
        if self._keys is None or self._now() - self._fetched_at > KEYS_STALE_SECONDS_MAX:
            raise Unavailable("keys-away", "the keys that verify tokens cannot be fetched now: send the request again")
        return self._keys

    def _should_fetch(self, key_id: str) -> bool:
        now = self._now()
        if self._keys is None:
            return now - self._tried_at > FIRST_FETCH_PAUSE_SECONDS
        wanted = now - self._fetched_at > KEYS_TRUSTED_SECONDS or self._keys.find(key_id) is None
        return wanted and now - self._tried_at > FETCH_PAUSE_SECONDS

    async def _fetch(self) -> None:
        self._tried_at = self._now()
        try:
            self._keys, self._fetched_at = KeySet.read(await self._target.call(self._get)), self._now()
        except (CallFailed, ZerocartError):
            return  # the caller uses the keys that were fetched before, unless they are too old

    async def _get(self) -> str:
        import httpx

        try:
            async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_SECONDS, follow_redirects=False) as client:
                answer = await client.get(self._url)
        except httpx.HTTPError as error:
            raise CallFailed("keys-away", type(error).__name__, transient=True) from error
        if answer.status_code != 200 or len(answer.content) > KEY_SET_BYTES_MAX:
            transient = answer.status_code >= 500 or answer.status_code == 429
            raise CallFailed("no-keys", f"the answer was {answer.status_code}", transient=transient)
        return answer.text


def keys_of(given: Secret, url: str) -> GivenKeys | RemoteKeys:
    """The keys in a setting; if it is empty, the keys at an address."""
    return RemoteKeys(url) if url and not given() else GivenKeys(given)
