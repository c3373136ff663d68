"""Decrypts and parses the events of a page as far as the views show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from services.kit.domain.errors import Invalid
from services.kit.domain.message import Message
from services.kit.eventstore.port import RecordedEvent
from services.kit.privacy.encryption import decrypt
from services.kit.privacy.vault import Vault
from services.projection.view import DecodedEvent

__all__ = ["decode"]


async def decode(vault: Vault, reads: Mapping[str, type[Message]], page: Sequence[RecordedEvent]) -> list[DecodedEvent]:
    """The events with the messages of the types in `reads`; a message that cannot be read leaves a fault instead."""
    known = [(model, event.data) for event in page if (model := reads.get(event.type))]
    try:
        messages = iter(await decrypt(vault, known))
    except (ValidationError, Invalid) as error:
        if len(page) == 1:
            return [DecodedEvent(page[0], fault=_fault(error))]
        half = len(page) // 2
        return [*await decode(vault, reads, page[:half]), *await decode(vault, reads, page[half:])]
    return [DecodedEvent(event, next(messages) if event.type in reads else None) for event in page]


def _fault(error: ValidationError | Invalid) -> str:
    """What is wrong, without the values: they may be personal."""
    if isinstance(error, Invalid):
        return error.code
    places = sorted({".".join(map(str, each["loc"])) or "it" for each in error.errors(include_input=False)})
    return f"not readable: {', '.join(places)[:200]}"
