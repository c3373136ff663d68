"""What notifications does about what it hears: send the mail, and record that it went out.

SMTP cannot be asked whether a mail was taken. A crash between the server's 250 and our record sends it again, with the
same Message-ID, by which mail stores recognise the repeat.
"""

from __future__ import annotations

from dataclasses import replace

from services.contracts.notifications import CancellationSend, ConfirmationSend
from services.contracts.orders import OrderCancelled, OrderFailed
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import Secret
from services.kit.domain.errors import Unavailable
from services.kit.events.handlers import Reactions, Received
from services.kit.telemetry.metrics import METRICS
from services.notifications.domain import MAIL, Kind, Record, Unsent, identity
from services.notifications.mails import Letter, compose
from services.notifications.notices import NoticeWriter, hear_notices
from services.notifications.smtp import MailServer, NotSent

__all__ = ["reactions"]


def reactions(handler: CommandHandler, server: MailServer, sender: str, mail_token_keys: Secret) -> Reactions:
    """The messages that notifications handles."""

    async def deliver(kind: Kind, letter: Letter | None, order_id: str) -> tuple[bool, NotSent | None]:
        loaded = await handler.reload(MAIL, identity(kind, order_id))
        if letter is None or not isinstance(loaded.state, Unsent):
            return False, None
        try:
            await server.send(compose(letter, sender))
        except NotSent as error:
            return False, error
        METRICS.count("mails_sent", kind=kind)
        return True, None

    async def answer(
        message: ConfirmationSend | CancellationSend, heard: Received, kind: Kind, letter: Letter | None
    ) -> None:
        mailed, problem = await deliver(kind, letter, message.saga_id)
        command = Record(
            at=heard.now,
            order_id=message.saga_id,
            kind=kind,
            step=message.step,
            attempt=message.attempt,
            undo=message.undo,
            mailed=mailed,
            problem=str(problem or ""),
            transient=problem.transient if problem else False,
        )
        await handler.handle(MAIL, identity(kind, message.saga_id), command, heard.cause)

    async def confirm(message: ConfirmationSend, heard: Received) -> None:
        letter = _letter("confirmation", message.saga_id, message)
        full = letter and replace(letter, total=message.total, lines=message.lines)
        if await _told_of_cancellation(handler, message.saga_id):
            full = None  # overtaken by its undo: what it would say no longer holds
        await answer(message, heard, "confirmation", full)

    async def cancel(message: CancellationSend, heard: Received) -> None:
        letter = _letter("cancellation", message.saga_id, message)
        full = letter and replace(letter, total=message.total)
        await answer(message, heard, "cancellation", full)

    async def tell(message: OrderFailed | OrderCancelled, heard: Received, kind: Kind) -> None:
        letter = None
        if message.email:
            letter = Letter(kind, message.order_id, message.person, message.email, reason=message.reason)
        if kind == "order_cancelled" and await _told_of_cancellation(handler, message.order_id):
            letter = None
        mailed, problem = await deliver(kind, letter, message.order_id)
        if problem is not None and problem.transient:
            raise Unavailable("mail-failed", str(problem))
        command = Record(at=heard.now, order_id=message.order_id, kind=kind, mailed=mailed)
        await handler.handle(MAIL, identity(kind, message.order_id), command, heard.cause)

    async def failed(message: OrderFailed, heard: Received) -> None:
        await tell(message, heard, "order_failed")

    async def cancelled(message: OrderCancelled, heard: Received) -> None:
        await tell(message, heard, "order_cancelled")

    hears = Reactions()
    hears.on(ConfirmationSend, confirm)
    hears.on(CancellationSend, cancel)
    hears.on(OrderFailed, failed)
    hears.on(OrderCancelled, cancelled)
    hear_notices(hears, handler, server, NoticeWriter(sender, mail_token_keys))
    return hears


def _letter(kind: Kind, order_id: str, message: ConfirmationSend | CancellationSend) -> Letter | None:
    if not message.email:
        return None
    return Letter(kind, order_id, message.person, message.email, message.customer_name)


async def _told_of_cancellation(handler: CommandHandler, order_id: str) -> bool:
    # who had been told of the confirmation was told of its end by the saga: not twice
    loaded = await handler.reload(MAIL, identity("cancellation", order_id))
    return not isinstance(loaded.state, Unsent)
