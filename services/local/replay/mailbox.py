"""The caught mails, wherever they are, by their Message-IDs: a repeat has the id of the first and counts once."""

from __future__ import annotations

from collections.abc import Set
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, Protocol

__all__ = ["MailFolder", "Mailbox", "Mailpit"]

PAGE_MAILS = 1000
REQUEST_SECONDS_MAX = 30.0


class Mailbox(Protocol):
    """Where mails ended up."""

    async def message_ids(self) -> Set[str]:
        """Of every mail that is there, without the angle brackets."""
        ...


class MailFolder:
    """The mail sink of the local cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def message_ids(self) -> Set[str]:
        """Read from the files."""
        parser = BytesHeaderParser()
        headers = (parser.parsebytes(file.read_bytes(), headersonly=True) for file in self._folder.glob("*.eml"))
        return {str(header["Message-ID"]).strip("<>") for header in headers}


class Mailpit:
    """A Mailpit, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def message_ids(self) -> Set[str]:
        """Asked for page by page."""
        import httpx

        found: set[str] = set()
        start = 0
        async with httpx.AsyncClient(timeout=REQUEST_SECONDS_MAX, trust_env=False) as client:
            while True:
                parameters = {"start": start, "limit": PAGE_MAILS}
                answer = await client.get(f"{self._url}/api/v1/messages", params=parameters)
                mails: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
                if not mails:
                    return found
                found |= {str(mail["MessageID"]).strip("<>") for mail in mails}
                start += len(mails)
