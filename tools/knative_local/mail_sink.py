"""An SMTP server that stores mails, one file for each Message-ID, counts repeats and forwards nothing."""

from __future__ import annotations

import asyncio
import hashlib
from email.parser import BytesHeaderParser
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from tools.knative_local.files import write_whole

__all__ = ["PERSON_HEADER", "MailSink"]

PERSON_HEADER = "X-Zerocart-Person"
"""The header with the id of the person whom a mail is about."""
MAIL_BYTES_MAX = 1_000_000


class MailSink:
    """Stores mails in `folder`; a mail with a known Message-ID is a repeat."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: asyncio.Server | None = None
        self.repeats = 0

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; the port."""
        self._folder.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()

        def session() -> SMTP:
            return SMTP(self, data_size_limit=MAIL_BYTES_MAX, hostname="localhost", enable_SMTPUTF8=True, loop=loop)

        self._server = await loop.create_server(session, "127.0.0.1", port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    def count(self) -> int:
        """The number of different mails."""
        return sum(1 for _ in self._folder.glob("*.eml"))

    def forget(self, person: str) -> int:
        """Delete every mail about a person; the number of deleted mails."""
        found = [file for file in self._folder.glob("*.eml") if _header(file.read_bytes(), PERSON_HEADER) == person]
        for file in found:
            file.unlink()
        return len(found)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - the name that aiosmtpd calls
        """Store one mail."""
        content = envelope.content
        data = content.encode() if isinstance(content, str) else (content or b"")
        message_id = _header(data, "Message-ID")
        name = hashlib.sha256(message_id.encode() or data).hexdigest()[:32]
        file = self._folder / f"{name}.eml"
        if file.exists():
            self.repeats += 1
        else:
            write_whole(file, data)
        return "250 kept"


def _header(mail: bytes, name: str) -> str:
    return str(BytesHeaderParser().parsebytes(mail).get(name, "")).strip()
