"""The mails that a system sent, by Message-ID: a repeated mail has the id of the first and counts once."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping, Set
from email import message_from_bytes
from email.parser import BytesHeaderParser
from email.policy import default
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import httpx

__all__ = ["MailFolder", "Mailbox", "Mailpit"]

PAGE_MAILS = 1000
VERIFICATION = re.compile(r"<?verification\.(usr_[0-9a-z]+)\.")
CODE = re.compile(r"^[A-Za-z0-9_-]{43}(?=\r?$)", re.MULTILINE)
REQUEST_SECONDS_MAX = 30.0


class Mailbox(Protocol):
    """A place where mails can be read."""

    async def message_ids(self) -> Set[str]:
        """The Message-IDs of all mails, without angle brackets."""
        ...

    async def codes(self) -> Mapping[str, str]:
        """The code of the last verification mail, by user id."""
        ...


class MailFolder:
    """The mail sink of the local cluster."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._looked_at: set[Path] = set()
        self._codes: dict[str, str] = {}

    async def message_ids(self) -> Set[str]:
        """Read the headers of all files."""
        parser = BytesHeaderParser()
        headers = (parser.parsebytes(file.read_bytes(), headersonly=True) for file in self._folder.glob("*.eml"))
        return {str(header["Message-ID"]).strip().strip("<>") for header in headers}

    async def codes(self) -> Mapping[str, str]:
        """Read the new files."""
        for file in set(self._folder.glob("*.eml")) - self._looked_at:
            data = file.read_bytes()
            if not data:
                continue  # still being written
            mail = message_from_bytes(data, policy=default)
            text = mail.get_body(("plain",))
            self._codes |= _code(str(mail["Message-ID"]), text.get_content() if text else "")
            self._looked_at.add(file)
        return self._codes


class Mailpit:
    """A Mailpit, by its HTTP API."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._looked_at: set[str] = set()
        self._codes: dict[str, str] = {}

    async def message_ids(self) -> Set[str]:
        """Fetch page by page."""

        return {str(mail["MessageID"]).strip("<>") async for mail in self._mails()}

    async def codes(self) -> Mapping[str, str]:
        """Fetch the new mails."""
        new = [mail async for mail in self._mails() if mail["ID"] not in self._looked_at]
        async with self._client() as client:
            for mail in new:
                if VERIFICATION.match(str(mail["MessageID"])):
                    answer = await client.get(f"{self._url}/api/v1/message/{mail['ID']}")
                    self._codes |= _code(str(mail["MessageID"]), answer.raise_for_status().json()["Text"])
                self._looked_at.add(mail["ID"])
        return self._codes

    async def _mails(self) -> AsyncGenerator[dict[str, Any]]:
        start = 0
        async with self._client() as client:
            while True:
                parameters = {"start": start, "limit": PAGE_MAILS}
                answer = await client.get(f"{self._url}/api/v1/messages", params=parameters)
                mails: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
                for mail in mails:
                    yield mail
                if not mails:
                    return
                start += len(mails)

    def _client(self) -> httpx.AsyncClient:
        import httpx

        return httpx.AsyncClient(timeout=REQUEST_SECONDS_MAX, trust_env=False)


def _code(message_id: str, text: str) -> dict[str, str]:
    about, code = VERIFICATION.match(message_id), CODE.search(text)
    return {about[1]: code[0]} if about and code else {}
