"""The principal: the user or operator who sent a request. All events that follow from the request name the principal.

They do so in the attributes of the CloudEvents extension `authcontext`: a kind and an id, never a name. Events that
follow from no request, such as those of a provider's webhook, have no principal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["ATTRIBUTES", "Principal", "PrincipalKind"]

PrincipalKind = Literal["app_user", "user"]
"""`app_user`: a customer, who reaches only their own data. `user`: an operator, who reaches the data of all."""
KINDS: Mapping[str | None, PrincipalKind] = {kind: kind for kind in get_args(PrincipalKind)}
ATTRIBUTES = ("authtype", "authid")
ID_CHARS_MAX = 128


@dataclass(frozen=True, slots=True)
class Principal:
    """A user or operator; `id` is empty if the subject of their token cannot be a CloudEvents attribute."""

    kind: PrincipalKind
    id: str

    @classmethod
    def known(cls, kind: PrincipalKind, subject: str) -> Principal:
        """The principal of a token; the subjects of an external issuer may have any form."""
        usable = subject.isascii() and subject.isprintable() and "%" not in subject and len(subject) <= ID_CHARS_MAX
        return cls(kind, subject if usable and "@" not in subject else "")  # an e-mail address is personal data

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Principal | None:
        """The principal in an event's attributes; None without one of a known kind."""
        kind = KINDS.get(attributes.get("authtype"))
        return cls(kind, attributes.get("authid", "")) if kind else None

    def attributes(self) -> dict[str, str]:
        """The CloudEvents attributes of this principal."""
        return {"authtype": self.kind, **({"authid": self.id} if self.id else {})}
