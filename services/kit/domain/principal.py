"""Who set something off, as the CloudEvents extension `authcontext` says it; it goes with everything that follows.

Only an id is kept, never a name. What follows from a timer or a webhook alone was set off by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["ATTRIBUTES", "Principal", "PrincipalKind"]

PrincipalKind = Literal["app_user", "user"]
"""One who uses what we offer, within what is theirs; one who runs it, and may reach what is anybody's."""
KINDS: Mapping[str | None, PrincipalKind] = {kind: kind for kind in get_args(PrincipalKind)}
ATTRIBUTES = ("authtype", "authid")
ID_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Principal:
    """Who it was; `id` is empty if the one that their token gave cannot travel as an attribute."""

    kind: PrincipalKind
    id: str

    @classmethod
    def known(cls, kind: PrincipalKind, subject: str) -> Principal:
        """The bearer of a token; an issuer outside may give subjects of any form."""
        usable = subject.isascii() and subject.isprintable() and "%" not in subject and len(subject) <= ID_CHARS_MAX
        return cls(kind, subject if usable and "@" not in subject else "")  # an e-mail address is no mere id

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Principal | None:
        """Whom an event's attributes name; None if they name nobody that we know."""
        kind = KINDS.get(attributes.get("authtype"))
        return cls(kind, attributes.get("authid", "")) if kind else None

    def attributes(self) -> dict[str, str]:
        """As attributes of an event."""
        return {"authtype": self.kind, **({"authid": self.id} if self.id else {})}
