"""The messages that users receives: scheduled mails that are due."""

from __future__ import annotations

from services.contracts.users import FollowUpDue, WelcomeDue
from services.kit.events.handlers import Reactions, Received
from services.users.account import ScheduledMail, SendScheduledMail
from services.users.accounts import Accounts

__all__ = ["reactions"]


def reactions(accounts: Accounts) -> Reactions:
    """The reactions of users."""

    async def send(user_id: str, mail: ScheduledMail, received: Received) -> None:
        await accounts.carry_out(SendScheduledMail(at=received.now, user_id=user_id, mail=mail), received.cause)

    async def welcome(message: WelcomeDue, received: Received) -> None:
        await send(message.user_id, "welcome_tips", received)

    async def follow_up(message: FollowUpDue, received: Received) -> None:
        await send(message.user_id, "follow_up", received)

    handlers = Reactions()
    handlers.on(WelcomeDue, welcome)
    handlers.on(FollowUpDue, follow_up)
    return handlers
