"""Keys of new persons, which the append of the first events about them stores: that saves a statement of its own."""

from __future__ import annotations

from collections.abc import Mapping

from services.kit.eventstore.port import Transaction
from services.kit.privacy.vault import NewKey, Vault

__all__ = ["NewKeys"]


class NewKeys:
    """The keys of a vault for one append; of persons whose ids begin with one of `prefixes` it makes new keys.

    They exist when the append has taken effect, which conflicts if such a person has a key or was erased.
    """

    def __init__(self, vault: Vault, prefixes: tuple[str, ...]) -> None:
        self._vault = vault
        self._prefixes = prefixes
        self._made: dict[str, NewKey] = {}

    @property
    def wrapped(self) -> Mapping[str, str]:
        """The new keys, as the append stores them (Append.keys)."""
        return {person: made.wrapped for person, made in self._made.items()}

    async def key_for(self, person: str, transaction: Transaction | None = None) -> bytes | None:
        """The person's key, made if there is none; None if the person was erased."""
        if made := self._made.get(person) or self._new(person):
            self._made[person] = made
            return made.key
        return await self._vault.key_for(person, transaction)

    def remember(self) -> None:
        """Keep the keys that the append stored in memory."""
        for person, made in self._made.items():
            self._vault.remember(person, made.key)

    def _new(self, person: str) -> NewKey | None:
        return self._vault.new_key(person) if person.startswith(self._prefixes) else None
