"""Mails: their text and HTML, and that each is sent once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from typing import Any, get_args

import pytest

from services.contracts.notifications import CancellationSend, ConfirmationSend
from services.contracts.orders import (
    OrderAcknowledged,
    OrderCancelled,
    OrderDelivered,
    OrderFailed,
    OrderHeld,
    OrderLine,
    OrderLinkRequested,
    OrderRefunded,
    OrderShipped,
)
from services.contracts.users import (
    FollowUpSend,
    PasswordChanged,
    PasswordResetRequested,
    StaffInvited,
    UserActivated,
    VerificationRequested,
    WelcomeTipsSend,
)
from services.contracts.webhooks import EndpointDisabled
from services.kit.commands.cause import Cause
from services.kit.commands.handler import CommandHandler
from services.kit.config.secrets import plain
from services.kit.domain.errors import Unavailable
from services.kit.domain.message import ERASED, Message, Money
from services.kit.events.handlers import Received
from services.kit.eventstore.memory import MemoryEventStore
from services.kit.eventstore.outbox import Relay
from services.kit.eventstore.port import Mark, RecordedEvent
from services.kit.privacy.vault import MemoryVault
from services.notifications.domain import OrderMailKind, UserMailKind, order_mail_id
from services.notifications.mails import LINES_SHOWN_MAX, Shop
from services.notifications.reactions import reactions
from services.notifications.smtp import NotSent
from services.projection.history import STREAMS

AT = datetime(2026, 1, 1, tzinfo=UTC)
TOTAL = Money(amount=Decimal("5.00"), currency="GBP")
STEP: dict[str, Any] = {"saga_id": "ord_1", "step": "send_confirmation", "attempt": 1}
NAME = "Ann <b>Archer</b>"
USER: dict[str, Any] = {"user_id": "usr_1", "email": "ann@example.com", "name": NAME, "notice_id": "n1"}
TOKEN: dict[str, Any] = {"requested_at": AT, "expires_at": AT + timedelta(hours=1)}


def lines(count: int) -> tuple[OrderLine, ...]:
    name = "Mug & <i>saucer</i>"
    return tuple(OrderLine(product_id="P", product_name=name, quantity=2, unit_price=Decimal(1)) for _ in range(count))


CONFIRMATION = ConfirmationSend(**STEP, email="ann@example.com", customer_name=NAME, lines=lines(1), total=TOTAL)
CANCELLATION = CancellationSend(**STEP, email="ann@example.com", customer_name=NAME, total=TOTAL)
ACKNOWLEDGED = OrderAcknowledged(order_id="ord_1", email="a@b.c", lines=lines(1), total=TOTAL)
MESSAGES: dict[str, Message] = {
    "order_placed": ACKNOWLEDGED,
    "confirmation": CONFIRMATION,
    "cancellation": CANCELLATION,
    "order_failed": OrderFailed(order_id="ord_1", code="declined", reason="the card was declined", email="a@b.c"),
    "order_cancelled": OrderCancelled(order_id="ord_1", reason="too late", email="a@b.c"),
    "order_refunded": OrderRefunded(order_id="ord_1", refund_id="rfd_1", amount=TOTAL, refunded=TOTAL, email="a@b.c"),
    "order_shipped": OrderShipped(order_id="ord_1", tracking_number="T1", email="a@b.c"),
    "order_delivered": OrderDelivered(order_id="ord_1", email="a@b.c"),
    "order_held": OrderHeld(order_id="ord_1", reason="review: total-above", email="a@b.c"),
    "order_link": OrderLinkRequested(order_id="ord_1", email="a@b.c", lookup_id="lkp_1", **TOKEN),
    "verification": VerificationRequested(**USER, **TOKEN),
    "activated": UserActivated(**USER),
    "welcome_tips": WelcomeTipsSend(**USER),
    "follow_up": FollowUpSend(**USER),
    "password_reset": PasswordResetRequested(**USER, **TOKEN),
    "staff_invitation": StaffInvited(**USER, **TOKEN, role="support"),
    "password_changed": PasswordChanged(**USER),
}


ABOUT = {"order_refunded": ".rfd_1", "order_link": ".lkp_1"}


class Publisher:
    """Stores the events that it publishes."""

    def __init__(self) -> None:
        self.events: list[RecordedEvent] = []

    async def ensure_available(self) -> None: ...

    async def publish(self, events: Sequence[RecordedEvent]) -> None:
        self.events += events

    async def republish(self, key: str, attributes: Mapping[str, str], data: bytes) -> None: ...

    async def close(self) -> None: ...


class MailServer:
    """Stores the mails that it accepts; if `problem` is set, it refuses them with it."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.problem: NotSent | None = None

    async def send(self, mail: EmailMessage) -> None:
        if self.problem:
            raise self.problem
        self.mails.append(mail)

    async def close(self) -> None: ...


class Notifications:
    """The handlers of notifications on an event store in memory and a mail server of the test."""

    def __init__(self, shop: Shop = Shop("shop@example.com")) -> None:  # noqa: B008
        self.server, self.publisher = MailServer(), Publisher()
        store = MemoryEventStore("notifications")
        handler = CommandHandler("notifications", store, Relay(store.outbox, self.publisher), MemoryVault())
        self.contacts: dict[str, str] = {"we_1": "dev@example.com"}
        self._handlers = reactions(handler, self.server, shop, plain("k" * 32), self._contact_of)
        self._received = 0

    async def _contact_of(self, endpoint_id: str) -> str | None:
        return self.contacts.get(endpoint_id)

    async def receive(self, message: Message, expired: bool = False, again: bool = False) -> list[EmailMessage]:
        """Handle a message and return all mails sent so far; each call delivers a new message, or the last `again`."""
        self._received += not again
        _, handle = self._handlers.find(message.type) or pytest.fail(message.type)
        cause = Cause(AT, f"test/{self._received}", mark=Mark(f"test/{self._received}"))
        await handle(message, Received(cause, AT, expired))
        return self.server.mails

    @property
    def published(self) -> list[str]:
        return [event.type.removeprefix("zerocart.notifications.") for event in self.publisher.events]


def parts(mail: EmailMessage) -> tuple[str, str]:
    """The text and the HTML of a mail."""
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return text.get_content(), html.get_content()


def test_every_kind_of_mail_is_tested() -> None:
    assert set(MESSAGES) == {*get_args(OrderMailKind), *get_args(UserMailKind)}


def test_the_past_of_an_order_has_every_mail_about_it() -> None:
    assert {f"mail-{order_mail_id(kind, '{}')}" for kind in get_args(OrderMailKind)} < set(STREAMS)


@pytest.mark.parametrize("kind", MESSAGES)
async def test_a_mail_is_sent_once_with_the_same_paragraphs_in_both_parts(kind: str) -> None:
    notifications = Notifications()
    (mail,) = await notifications.receive(MESSAGES[kind])
    text, html = parts(mail)
    about = "usr_1.n1" if "X-Zerocart-User" in mail else f"ord_1{ABOUT.get(kind, '')}"
    assert mail["Message-ID"] == f"<{kind}.{about}@example.com>"
    assert mail["Subject"]
    assert "{" not in text + html
    assert len(text.strip().split("\n\n")) == html.count("<p>") + html.count("<ul>")
    assert ("Total: 5.00 GBP" in text) == ("Total: 5.00 GBP" in html) == (kind in ("order_placed", "confirmation"))
    await notifications.receive(MESSAGES[kind])
    assert len(notifications.server.mails) == 1


async def test_each_refund_of_an_order_has_a_mail_and_the_later_one_names_the_sum() -> None:
    notifications = Notifications()
    first = OrderRefunded(order_id="ord_1", refund_id="rfd_1", amount=TOTAL, refunded=TOTAL, email="a@b.c")
    ten = Money(amount=Decimal("10.00"), currency="GBP")
    for message in (first, first.model_copy(update={"refund_id": "rfd_2", "refunded": ten}), first):
        await notifications.receive(message)
    texts = [parts(mail)[0] for mail in notifications.server.mails]
    assert ["10.00 GBP" in text for text in texts] == [False, True]
    assert notifications.published == ["order_notice.sent.v1"] * 2


async def test_a_customer_is_not_told_of_the_way_of_a_parcel_that_has_arrived() -> None:
    notifications = Notifications()
    for kind in ("order_delivered", "order_shipped"):
        await notifications.receive(MESSAGES[kind])
    assert [mail["Subject"] for mail in notifications.server.mails] == ["Your order ord_1 has arrived"]


AMOUNTS: dict[str, Any] = {"discount_total": "1", "coupon": "TEA & CO", "shipping_total": "250", "tax_total": "120"}


async def amounts(currency: str, **more: Any) -> list[str]:
    """What follows the items in the text of a confirmation."""
    total = Money(amount=Decimal("1369.5"), currency=currency)
    priced = ConfirmationSend.model_validate(
        {**dict(CONFIRMATION), "subtotal": "1000.5", **AMOUNTS, **more, "total": total}
    )
    (mail,) = await Notifications().receive(priced)
    text, html = parts(mail)
    assert text.rstrip().splitlines()[-1].strip() in html
    return [line.strip() for line in text.strip().split("\n\n")[-1].splitlines()]


async def test_a_mail_shows_how_the_total_comes_about_in_the_decimals_of_the_currency() -> None:
    assert await amounts("GBP") == [
        "Subtotal: 1000.50 GBP", "Discount (coupon TEA & CO): -1.00 GBP", "Shipping: 250.00 GBP", "Tax: 120.00 GBP",
        "Total: 1369.50 GBP",
    ]  # fmt: skip
    assert (await amounts("BHD"))[0] == "Subtotal: 1000.500 BHD"


async def test_a_mail_names_an_included_tax_after_the_total_and_leaves_out_what_is_zero() -> None:
    nothing = {"discount_total": 0, "shipping_total": 0, "coupon": None, "subtotal": "1369.5"}
    assert await amounts("JPY", tax_included=True, **nothing) == ["Total: 1369.5 JPY", "Tax included: 120 JPY"]


async def test_a_mail_shows_what_each_line_costs_before_discounts() -> None:
    (line,) = lines(1)
    priced = line.model_copy(update={"subtotal": Decimal("1")})
    (mail,) = await Notifications().receive(CONFIRMATION.model_copy(update={"lines": (line, priced)}))
    assert "  2 x Mug & <i>saucer</i>\n  2 x Mug & <i>saucer</i>: 1.00 GBP\n" in parts(mail)[0]


@pytest.mark.parametrize("kind", ["confirmation", "order_shipped", "order_placed", "welcome_tips"])
async def test_a_mail_that_the_shop_has_switched_off_is_not_sent_but_counts_as_handled(kind: str) -> None:
    notifications = Notifications(Shop("shop@example.com", mails_off=frozenset({kind})))  # pyright: ignore[reportArgumentType]
    assert await notifications.receive(MESSAGES[kind]) == []
    assert len(notifications.published) == 1
    assert len(await notifications.receive(MESSAGES["cancellation"])) == 1


@pytest.mark.parametrize("end", ["confirmation", "order_failed", "order_cancelled"])
async def test_a_customer_is_not_told_that_an_order_was_placed_after_its_end(end: str) -> None:
    notifications = Notifications()
    for kind in (end, "order_placed"):
        await notifications.receive(MESSAGES[kind])
    assert len(notifications.server.mails) == 1


async def test_a_link_is_not_mailed_after_it_has_expired() -> None:
    late = OrderLinkRequested(order_id="ord_1", email="a@b.c", lookup_id="lkp_1", requested_at=AT, expires_at=AT)
    assert await Notifications().receive(late) == []


async def test_html_escapes_what_customers_typed() -> None:
    (mail,) = await Notifications().receive(CONFIRMATION)
    text, html = parts(mail)
    assert f"Dear {NAME}," in text
    assert "  2 x Mug & <i>saucer</i>\n" in text
    assert "Dear Ann &lt;b&gt;Archer&lt;/b&gt;," in html
    assert "<li>2 x Mug &amp; &lt;i&gt;saucer&lt;/i&gt;</li>" in html


@pytest.mark.parametrize("kind", ["verification", "welcome_tips", "password_reset"])
async def test_a_mail_to_an_unproven_address_does_not_show_the_name(kind: str) -> None:
    (mail,) = await Notifications().receive(MESSAGES[kind])
    assert not [part for part in parts(mail) if "Ann" in part]


async def test_a_long_order_is_shortened() -> None:
    (mail,) = await Notifications().receive(CONFIRMATION.model_copy(update={"lines": lines(LINES_SHOWN_MAX + 5)}))
    text, html = parts(mail)
    assert text.count(" x Mug") == html.count("<li>2 x") == LINES_SHOWN_MAX
    assert "  and 5 more\n" in text


async def test_a_customer_is_told_of_a_cancellation_once_and_of_no_confirmation_after_it() -> None:
    notifications = Notifications()
    for message in (CANCELLATION, CONFIRMATION, MESSAGES["order_cancelled"]):
        await notifications.receive(message)
    assert [mail["Subject"] for mail in notifications.server.mails] == [
        "Your order ord_1 has been cancelled and refunded"
    ]
    assert notifications.published == ["cancellation.sent.v1", "confirmation.sent.v1", "order_mail.sent.v1"]


def refunded(amount: str, refund_id: str) -> OrderRefunded:
    money = Money(amount=Decimal(amount), currency="GBP")
    return OrderRefunded(order_id="ord_1", refund_id=refund_id, amount=money, refunded=money, email="a@b.c")


@pytest.mark.parametrize(
    ("refunds", "text"),
    [
        ([], "we refund 5.00 GBP to your card."),
        (
            [("1.50", "rfd_1"), ("1.00", "rfd_2"), ("1.00", "rfd_2")],
            "we refund 2.50 GBP to your card, in addition to the 2.50 GBP that you have had back before.",
        ),
        ([("5.00", "rfd_1")], "You have had its whole amount back already."),
        ([("2.00", "rfd_edt_1")], "we refund 5.00 GBP to your card."),  # the edit has lowered the total
    ],
)
async def test_a_cancellation_tells_how_much_is_still_refunded(refunds: list[tuple[str, str]], text: str) -> None:
    notifications = Notifications()
    for amount, refund_id in refunds:
        await notifications.receive(refunded(amount, refund_id))
    *_, mail = await notifications.receive(CANCELLATION)
    assert text in " ".join(parts(mail)[0].split())


@pytest.mark.parametrize("transient", [True, False])
async def test_a_saga_gets_a_reply_if_the_mail_server_refuses(transient: bool) -> None:
    notifications = Notifications()
    notifications.server.problem = NotSent("refused", transient=transient)
    await notifications.receive(CONFIRMATION)
    notifications.server.problem = None
    await notifications.receive(CONFIRMATION)
    assert notifications.published == ["mail.failed.v1", "confirmation.sent.v1"]
    assert len(notifications.server.mails) == 1


@pytest.mark.parametrize("kind", ["order_failed", "activated"])
async def test_a_mail_without_a_saga_is_retried_if_the_mail_server_may_accept_it_later(kind: str) -> None:
    notifications = Notifications()
    notifications.server.problem = NotSent("busy", transient=True)
    with pytest.raises(Unavailable):
        await notifications.receive(MESSAGES[kind])
    notifications.server.problem = None
    assert len(await notifications.receive(MESSAGES[kind])) == 1


async def test_no_mail_is_sent_without_an_address_or_too_late() -> None:
    notifications = Notifications()
    await notifications.receive(CONFIRMATION.model_copy(update={"email": None}))
    await notifications.receive(UserActivated(**{**USER, "email": ERASED}))
    await notifications.receive(MESSAGES["follow_up"], expired=True)
    late = PasswordResetRequested(**USER, requested_at=AT - timedelta(hours=1), expires_at=AT)
    assert await notifications.receive(late) == []
    assert notifications.published == ["confirmation.sent.v1", *["user_mail.sent.v1"] * 3]


OFF = EndpointDisabled(endpoint_id="we_1", code="gone", reason="the endpoint answered 410", url="https://a.example/<b>")


async def test_the_contact_of_an_endpoint_is_told_once_each_time_that_it_is_switched_off() -> None:
    notifications = Notifications()
    (mail,) = await notifications.receive(OFF)
    text, html = parts(mail)
    assert (mail["To"], mail["Message-ID"]) == ("dev@example.com", "<webhook_switched_off.we_1.test/1@example.com>")
    assert "https://a.example/<b>" in text and "https://a.example/&lt;b&gt;" in html
    assert len(text.strip().split("\n\n")) == html.count("<p>")
    assert len(await notifications.receive(OFF, again=True)) == 1
    failing = OFF.model_copy(update={"code": "failing", "reason": "every attempt failed", "url": None})
    second = (await notifications.receive(failing))[1]
    assert "every attempt failed" in parts(second)[0] and "we_1" in parts(second)[0]
    assert notifications.published == ["endpoint_mail.sent.v1"] * 2


async def test_nobody_is_told_of_an_endpoint_without_a_contact_or_if_the_shop_sends_no_such_mail() -> None:
    without = OFF.model_copy(update={"endpoint_id": "we_2"})
    shop = Shop("shop@example.com", mails_off=frozenset({"webhook_switched_off"}))
    for notifications, message in ((Notifications(), without), (Notifications(shop), OFF)):
        assert await notifications.receive(message) == []
        assert notifications.published == ["endpoint_mail.sent.v1"]


async def test_the_mail_about_an_endpoint_is_sent_later_if_the_mail_server_is_busy() -> None:
    notifications = Notifications()
    notifications.server.problem = NotSent("busy", transient=True)
    with pytest.raises(Unavailable):
        await notifications.receive(OFF)
    notifications.server.problem = None
    assert len(await notifications.receive(OFF, again=True)) == 1
