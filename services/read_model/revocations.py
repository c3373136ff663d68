"""The table of the view `revocations`: whose access tokens are void, so that query refuses them."""

from __future__ import annotations

from dataclasses import dataclass

from services.read_model.table import Id, Instant, Table

__all__ = ["REVOCATIONS", "Revocation"]


@dataclass(frozen=True, slots=True)
class Revocation:
    """The access tokens that the subject got before `issued_before` are void; None voids all of them."""

    subject: Id
    issued_before: Instant | None


REVOCATIONS = Table("revocations", "revocations", Revocation, ("subject",))
