"""The view `revocations`: whose access tokens are void. It repeats `vault.revocations`, which query cannot reach."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from services.contracts import users
from services.kit.domain.message import Message
from services.projection.rows import Rows
from services.projection.view import DecodedEvent, View, changes_in
from services.read_model.revocations import REVOCATIONS, Revocation

__all__ = ["REVOCATIONS_VIEW", "revocation_after"]


def revocation_after(row: Revocation | None, event: Message, at: datetime) -> Revocation | None:
    """The row of the event's subject after the event, which happened at this time."""
    subject = event.key_value
    match event:
        case users.UserSuspended() | users.UserDeleted() | users.PersonErased():
            return Revocation(subject, None)
        case users.UserReinstated():
            return Revocation(subject, at)
        case users.PasswordChanged() | users.StaffRoleChanged():
            return _earlier_void(row, subject, at)
        case users.TokensRevoked(issued_before=before):
            return _earlier_void(row, subject, before)
        case _:
            return row


def _earlier_void(row: Revocation | None, subject: str, before: datetime) -> Revocation:
    if row and (row.issued_before is None or row.issued_before > before):
        return row
    return Revocation(subject, before)


async def feed(rows: Rows, page: Sequence[DecodedEvent]) -> None:
    """Apply the events to the rows."""
    changes = list(changes_in(page, REVOCATIONS_VIEW))
    found = await rows.find(REVOCATIONS, {message.key_value for _, message in changes})
    for event, message in changes:
        if row := revocation_after(found.get(message.key_value), message, event.time):
            found[message.key_value] = row
    await rows.put(REVOCATIONS, list(found.values()))


REVOCATIONS_VIEW = View(
    name="revocations",
    revision=2,
    tables=(REVOCATIONS,),
    wakes=(
        users.UserSuspended, users.UserReinstated, users.UserDeleted, users.PasswordChanged, users.PersonErased,
        users.TokensRevoked, users.StaffRoleChanged,
    ),
    feed=feed,
)  # fmt: skip
