"""Encrypts the personal data in messages with one key per person; an erasure destroys the key.

The fields that a contract marks `Personal` are stored and published as one ciphertext (AES-256-GCM, NIST SP 800-38D)
in the member `personal`, beside the id of the person. After the key is destroyed, a required personal field reads
ERASED and an optional one is absent.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar, get_args, get_origin

from pydantic_core import from_json

from services.kit.domain.errors import Invalid
from services.kit.domain.message import ERASED, Message, PersonalMark, Value
from services.kit.eventstore.port import Transaction
from services.kit.privacy.vault import Vault
from services.kit.privacy.wrapping import NONCE_BYTES

__all__ = [
    "PERSONAL",
    "Contact",
    "Fields",
    "Keys",
    "contact_of",
    "decrypt",
    "encrypt",
    "erased",
    "personal_fields",
    "set_contact",
]

PERSONAL = "personal"
"""The member of a stored message that holds the ciphertext."""


M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Fields:
    """The personal fields of a model: `own` says whether each is required, `inner` are those of nested values."""

    own: Mapping[str, bool]
    inner: Mapping[str, Fields]

    def __bool__(self) -> bool:
        return bool(self.own or self.inner)

    def paths(self) -> dict[str, Any]:
        """The fields in the form of Pydantic's `include` and `exclude`."""
        return {**dict.fromkeys(self.own, True), **{name: fields.paths() for name, fields in self.inner.items()}}


@cache
def personal_fields(model: type[Value]) -> Fields:
    """The personal fields of a model; TypeError for one in a collection, which cannot be encrypted."""
    own: dict[str, bool] = {}
    inner: dict[str, Fields] = {}
    for name, field in model.model_fields.items():
        marked = any(isinstance(each, PersonalMark) for each in field.metadata)
        if marked or _is_marked(field.annotation):
            own[name] = field.is_required()
        for value in _values_in(field.annotation):
            if fields := personal_fields(value):
                if get_origin(field.annotation) in (tuple, list, dict):
                    raise TypeError(f"{model.__name__}.{name}: personal data in a collection")
                inner[name] = fields
    return Fields(own, inner)


def _is_marked(annotation: object) -> bool:
    if get_origin(annotation) is Annotated:
        return any(isinstance(each, PersonalMark) for each in get_args(annotation)[1:])
    return any(_is_marked(part) for part in get_args(annotation))


def _values_in(annotation: object) -> list[type[Value]]:
    if isinstance(annotation, type) and issubclass(annotation, Value):
        return [annotation]
    return [value for part in get_args(annotation) for value in _values_in(part)]


@cache
def _paths(model: type[Message]) -> dict[str, Any]:
    return personal_fields(model).paths()


class Keys(Protocol):
    """Where `encrypt` gets keys: the vault, or NewKeys."""

    async def key_for(self, person: str, transaction: Transaction | None = None) -> bytes | None:
        """The person's key, made if there is none; None if the person was erased."""
        ...


async def encrypt(keys: Keys, messages: Sequence[Message], transaction: Transaction | None = None) -> list[str]:
    """The JSON of each message as it is stored and published; `transaction` is the open one, if there is one."""
    return [await _encrypted(keys, message, transaction) for message in messages]


async def _encrypted(keys: Keys, message: Message, transaction: Transaction | None) -> str:
    paths = _paths(type(message))
    personal = message.model_dump_json(exclude_none=True, include=paths) if paths else "{}"
    if personal == "{}":
        return message.write()
    person = message.person
    part: dict[str, str] = {"person": person}
    key = await keys.key_for(person, transaction)
    if key is not None:  # without a key the person was erased, and the personal part is not stored
        part["sealed"] = _encrypt(key, personal, _about(type(message), person))
    clear = message.model_dump_json(exclude_none=True, exclude=paths)
    return f'{clear[:-1]},"{PERSONAL}":{json.dumps(part)}}}'


class Contact(NamedTuple):
    """The e-mail address and the name of a person with an account."""

    email: str
    name: str


async def set_contact(vault: Vault, person: str, contact: Contact, transaction: Transaction) -> None:
    """Store the contact of a person, encrypted; nothing is stored of an erased person."""
    key = await vault.key_for(person, transaction)
    if key is not None:
        sealed = _encrypt(key, json.dumps(contact), _about_contact(person))
        await vault.set_contact(person, sealed.encode(), transaction)


async def contact_of(vault: Vault, person: str) -> Contact | None:
    """The contact of a person; None if the person has no account, or was erased."""
    sealed = await vault.contact(person)
    key = (await vault.keys_of([person])).get(person) if sealed else None
    if sealed is None or key is None:
        return None
    return Contact(*json.loads(_decrypt(key, sealed.decode(), _about_contact(person))))


def _about_contact(person: str) -> bytes:
    return f"contact {person}".encode()


async def decrypt(
    vault: Vault, found: Sequence[tuple[type[Message], str | bytes]], transaction: Transaction | None = None
) -> list[Message]:
    """The messages of these texts; pydantic.ValidationError if one is invalid.

    Raises Invalid if a ciphertext was altered or belongs to another message.
    """
    parsed = [_parsed(model, data) for model, data in found]
    persons = {each.person for each in parsed if each.sealed}
    keys: Mapping[str, bytes] = await vault.keys_of(persons, transaction) if persons else {}
    return [_decrypted(each, keys.get(each.person)) for each in parsed]


def erased(message: M) -> M:
    """The message as it reads after the key of its person was destroyed."""
    model = type(message)
    clear = json.loads(message.model_dump_json(exclude_none=True, exclude=_paths(model)))
    return model.read_parsed(_joined(personal_fields(model), clear, None))


class _Parsed(NamedTuple):
    """A stored message; it is parsed only if it has a ciphertext."""

    model: type[Message]
    content: str | bytes | dict[str, Any]
    person: str = ""
    sealed: str = ""


def _parsed(model: type[Message], data: str | bytes) -> _Parsed:
    whole = _Parsed(model, data)
    if not _paths(model) or PERSONAL not in (data if isinstance(data, str) else data.decode(errors="replace")):
        return whole
    try:
        content: Any = from_json(data)
        part: Any = content.pop(PERSONAL)
        person, sealed = part["person"], part.get("sealed", "")
    except (ValueError, LookupError, TypeError, AttributeError):
        return whole  # `Model.read` raises the error
    if not isinstance(person, str) or not isinstance(sealed, str):
        return whole
    return _Parsed(model, content, person, sealed)


def _decrypted(found: _Parsed, key: bytes | None) -> Message:
    if not isinstance(found.content, dict):
        return found.model.read(found.content)
    personal: Any = None
    if found.sealed and key is not None:
        personal = from_json(_decrypt(key, found.sealed, _about(found.model, found.person)))
    return found.model.read_parsed(_joined(personal_fields(found.model), found.content, personal))


def _joined(fields: Fields, clear: dict[str, Any], personal: dict[str, Any] | None) -> dict[str, Any]:
    whole = dict(clear)
    for name, required in fields.own.items():
        if personal is not None and name in personal:
            whole[name] = personal[name]
        elif required:
            whole.setdefault(name, ERASED)
    for name, inner in fields.inner.items():
        if isinstance(value := whole.get(name), dict):
            part: dict[str, Any] = value  # pyright: ignore[reportUnknownVariableType] - from JSON
            whole[name] = _joined(inner, part, None if personal is None else personal.get(name))
    return whole


def _about(model: type[Message], person: str) -> bytes:
    """The associated data: a ciphertext cannot be moved to another person or message type."""
    return f"{model.type} {person}".encode()


def _encrypt(key: bytes, text: str, about: bytes) -> str:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = os.urandom(NONCE_BYTES)
    return base64.b64encode(nonce + AESGCM(key).encrypt(nonce, text.encode(), about)).decode()


def _decrypt(key: bytes, text: str, about: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        whole = base64.b64decode(text, validate=True)
        return AESGCM(key).decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], about)
    except (InvalidTag, ValueError) as error:
        raise Invalid("bad-seal", "the personal data was altered, or belongs to another message") from error
