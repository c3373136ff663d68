"""Header fields of mails that are written as they are.

The standard library parses the value of each field when it is set, and again when it is written. That took most of the
processor time of a mail (docs/performance.md).
"""

from __future__ import annotations

from email.header import Header
from email.headerregistry import Address
from email.policy import EmailPolicy, Policy
from email.utils import formataddr

__all__ = ["PLAIN_HEADERS", "sender"]


class _Field(str):
    """The value of a field on one line; `encoded` is the same in ASCII (RFC 2047)."""

    __slots__ = ("encoded", "name")
    name: str
    encoded: str

    def fold(self, *, policy: Policy) -> str:
        """The lines of the field."""
        return f"{self.name}: {self.encoded}{policy.linesep}"


def _field(name: str, value: str, encoded: str) -> _Field:
    if len(value.splitlines()) > 1:
        raise ValueError(f"the field {name} has several lines")
    field = _Field(value)
    field.name, field.encoded = name, encoded
    return field


class _PlainHeaders(EmailPolicy):
    """Fields of any number, and their values as they were set."""

    def header_max_count(self, name: str) -> int | None:
        return None

    def header_store_parse(self, name: str, value: str) -> tuple[str, str]:
        if isinstance(value, _Field):
            return name, value
        encoded = value if value.isascii() else Header(value, "utf-8", header_name=name).encode()
        return name, _field(name, value, encoded)

    def header_fetch_parse(self, name: str, value: str) -> str:
        return value


PLAIN_HEADERS = _PlainHeaders()
"""The policy of a message whose fields are written as they are; addresses have to be ASCII, except in a `sender`."""


def sender(name: str, address: str) -> str:
    """The field `From` of somebody with this name."""
    return _field("From", str(Address(name, addr_spec=address)), formataddr((name, address)))
