"""The messages that users receives: what is due, scheduled mails and the ends of clients."""

from __future__ import annotations

from services.contracts.users import ClientExpiryDue, FollowUpDue, WelcomeDue
from services.kit.commands.handler import CommandHandler
from services.kit.events.handlers import Reactions, Received
from services.users.account import ScheduledMail, SendScheduledMail
from services.users.accounts import Accounts

__all__ = ["reactions"]


def reactions(handler: CommandHandler, accounts: Accounts) -> Reactions:
    """The reactions of users."""

    async def send(user_id: str, mail: ScheduledMail, received: Received) -> None:
        await accounts.carry_out(SendScheduledMail(at=received.now, user_id=user_id, mail=mail), received.cause)

    async def welcome(message: WelcomeDue, received: Received) -> None:
        await send(message.user_id, "welcome_tips", received)

    async def follow_up(message: FollowUpDue, received: Received) -> None:
        await send(message.user_id, "follow_up", received)

    async def expire(message: ClientExpiryDue, received: Received) -> None:
        from services.users.tokens.api_clients import CLIENT, ExpireClient  # a mail does not need them

        command = ExpireClient(at=received.now, client_id=message.client_id)
        await handler.handle(CLIENT, message.client_id, command, received.cause)

    handlers = Reactions()
    handlers.on(WelcomeDue, welcome)
    handlers.on(FollowUpDue, follow_up)
    handlers.on(ClientExpiryDue, expire)
    return handlers
