"""What users does about what it hears: letters whose time has come."""

from __future__ import annotations

from services.contracts.users import FollowUpDue, WelcomeDue
from services.kit.events.handlers import Reactions, Received
from services.users.account import Letter, Tell
from services.users.accounts import Accounts

__all__ = ["reactions"]


def reactions(accounts: Accounts) -> Reactions:
    """The messages that users handles."""

    async def tell(user_id: str, letter: Letter, heard: Received) -> None:
        await accounts.carry_out(Tell(at=heard.now, user_id=user_id, letter=letter), heard.cause)

    async def welcome(message: WelcomeDue, heard: Received) -> None:
        await tell(message.user_id, "welcome_tips", heard)

    async def follow_up(message: FollowUpDue, heard: Received) -> None:
        await tell(message.user_id, "follow_up", heard)

    hears = Reactions()
    hears.on(WelcomeDue, welcome)
    hears.on(FollowUpDue, follow_up)
    return hears
