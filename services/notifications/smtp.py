"""The port to a mail server, and its implementation by SMTP."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from services.kit.config.secrets import Secret, plain
from services.kit.resilience.outgoing import CallFailed, Policy, Target
from services.kit.telemetry.tracing import span

if TYPE_CHECKING:
    from aiosmtplib import SMTP

__all__ = ["SMTP_IDLE_SECONDS", "SMTP_TIMEOUT_SECONDS", "MailServer", "NotSent", "SmtpServer"]

SMTP_TIMEOUT_SECONDS = 10.0
MAIL_SERVER = Policy(name="mail-server", timeout_seconds=2 * SMTP_TIMEOUT_SECONDS)
SMTP_IDLE_SECONDS = 3.0
"""How long a connection stays open for the next mail; a new connection costs several times the mail itself."""


class NotSent(Exception):
    """The mail server did not accept a mail; `transient` if a retry may succeed."""

    def __init__(self, detail: str, *, transient: bool) -> None:
        super().__init__(detail)
        self.transient = transient


class MailServer(Protocol):
    """A server that accepts mails."""

    async def send(self, mail: EmailMessage) -> None:
        """Send one mail; NotSent if the server did not accept it."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class SmtpServer:
    """`smtp://[user:password@]host:port` (STARTTLS where offered) or `smtps://…` (TLS from the start)."""

    def __init__(self, url: str | Secret) -> None:
        self._url = plain(url)
        self._target = Target(MAIL_SERVER)
        self._idle: dict[SMTP, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, mail: EmailMessage) -> None:
        """Send one mail; the connection stays open for the next one for SMTP_IDLE_SECONDS."""
        try:
            with span("send mail", "client"):
                session = await self._target.call(self._session)
                # not retried here: if the answer was lost, the mail may have been accepted, and the caller decides
                await self._target.call(lambda: self._send_on(session, mail), attempts_max=1)
        except CallFailed as error:
            raise NotSent(error.detail, transient=error.transient) from error
        self._keep(session)

    async def close(self) -> None:
        """Close the idle connections."""
        for session in list(self._idle):
            await self._quit(session)

    async def _session(self) -> SMTP:
        with _errors_translated():
            return await self._idle_one() or await self._connect()

    async def _send_on(self, session: SMTP, mail: EmailMessage) -> None:
        with _errors_translated():
            await session.send_message(mail)

    async def _connect(self) -> SMTP:
        import aiosmtplib

        parts = urlsplit(self._url())  # read each time, because the password may have been rotated
        tls = parts.scheme == "smtps"
        session = aiosmtplib.SMTP(
            hostname=parts.hostname or "localhost",
            port=parts.port or (465 if tls else 25),
            use_tls=tls,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            timeout=SMTP_TIMEOUT_SECONDS,
        )
        await session.connect()
        return session

    async def _idle_one(self) -> SMTP | None:
        import aiosmtplib

        while self._idle:
            session, closing = self._idle.popitem()
            closing.cancel()
            try:
                await session.noop()  # a server may have closed it, which the mail itself must not find out
            except (aiosmtplib.SMTPException, OSError):
                session.close()
            else:
                return session
        return None

    def _keep(self, session: SMTP) -> None:
        loop = asyncio.get_running_loop()
        self._idle[session] = loop.call_later(SMTP_IDLE_SECONDS, self._expire, session)

    def _expire(self, session: SMTP) -> None:
        task = asyncio.ensure_future(self._quit(session))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _quit(self, session: SMTP) -> None:
        import aiosmtplib

        closing = self._idle.pop(session, None)
        if closing is None:
            return  # another mail uses it again
        closing.cancel()
        try:
            await session.quit()
        except (aiosmtplib.SMTPException, OSError):
            session.close()


@contextmanager
def _errors_translated() -> Generator[None]:
    """Turn the errors of aiosmtplib into CallFailed."""
    import aiosmtplib

    try:
        yield
    except aiosmtplib.SMTPRecipientsRefused as error:
        transient = all(refused.code < 500 for refused in error.recipients)
        raise CallFailed("recipient-refused", "The mail server refused the recipient.", transient=transient) from error
    except aiosmtplib.SMTPResponseException as error:
        detail = f"The mail server refused the mail with {error.code}."
        raise CallFailed("mail-refused", detail, transient=error.code < 500) from error
    except (aiosmtplib.SMTPException, OSError) as error:
        detail = f"The mail server cannot be reached ({type(error).__name__})."
        raise CallFailed("mail-server-away", detail, transient=True) from error
