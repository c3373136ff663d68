"""The port to the mail server, and SMTP."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Protocol
from urllib.parse import unquote, urlsplit

__all__ = ["SMTP_TIMEOUT_SECONDS", "MailServer", "NotSent", "SmtpServer"]

SMTP_TIMEOUT_SECONDS = 10.0


class NotSent(Exception):
    """The mail was not taken; `transient` if trying again may help."""

    def __init__(self, detail: str, *, transient: bool) -> None:
        super().__init__(detail)
        self.transient = transient


class MailServer(Protocol):
    """Whoever takes our mails."""

    async def send(self, mail: EmailMessage) -> None:
        """Hand over one mail; NotSent if it was not taken."""
        ...


class SmtpServer:
    """`smtp://[user:password@]host:port` (STARTTLS where offered) or `smtps://…` (TLS from the start)."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or "localhost"
        self._port = parts.port or (465 if parts.scheme == "smtps" else 25)
        self._tls = parts.scheme == "smtps"
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None

    async def send(self, mail: EmailMessage) -> None:
        """Hand over one mail."""
        import aiosmtplib

        try:
            await aiosmtplib.send(
                mail,
                hostname=self._host,
                port=self._port,
                use_tls=self._tls,
                username=self._user,
                password=self._password,
                timeout=SMTP_TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            codes = [refused.code for refused in error.recipients]
            raise NotSent(
                "the mail server refused the recipient", transient=all(code < 500 for code in codes)
            ) from error
        except aiosmtplib.SMTPResponseException as error:
            raise NotSent(f"the mail server said {error.code}", transient=error.code < 500) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotSent(f"the mail server is away: {type(error).__name__}", transient=True) from error
