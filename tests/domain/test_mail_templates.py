"""The wording of mails: every language is complete, and a shop replaces texts, layout and language without code."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from services.kit.domain.errors import ZerocartError
from services.notifications.domain import OrderMailKind
from services.notifications.mails import LANGUAGES, TEMPLATES, Shop, compose
from services.notifications.previews import KINDS, sample, write_previews
from services.notifications.settings import shop_of

SHOP = Shop("shop@example.com", "Mug & Söhne")


def parts(kind: OrderMailKind, shop: Shop) -> tuple[str, str, str]:
    """The subject, the text and the HTML of a sample mail."""
    mail = compose(sample(kind), shop)
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    return mail["Subject"], text.get_content(), html.get_content()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_template(language: str) -> None:
    first = {file.name for file in (TEMPLATES / LANGUAGES[0]).iterdir()}
    assert {file.name for file in (TEMPLATES / language).iterdir()} == first
    assert {f"{kind}.txt" for kind in KINDS} < first


@pytest.mark.parametrize("language", LANGUAGES)
def test_previews_show_every_mail_in_a_language(language: str, tmp_path: Path) -> None:
    files = write_previews(tmp_path / "out", Shop("shop@example.com", language=language))
    assert len(files) == 3 * len(KINDS)
    assert all(file.stat().st_size for file in files)
    german = "Ihre Bestellung" in (tmp_path / "out" / "confirmation.txt").read_text(encoding="utf-8")
    assert german == (language == "de")
    assert f'<html lang="{language}">' in (tmp_path / "out" / "confirmation.html").read_text(encoding="utf-8")


def test_amounts_and_times_are_written_in_the_way_of_the_language() -> None:
    texts = [parts("confirmation", Shop("a@b.c", language=each))[1] for each in LANGUAGES]
    assert ["1234.50 GBP" in texts[0], "1234,50 GBP" in texts[1]] == [True, True]


def test_the_sender_has_the_name_of_the_shop() -> None:
    assert str(compose(sample("confirmation"), SHOP)["From"]) == "Mug & Söhne <shop@example.com>"


def test_a_shop_replaces_the_text_of_one_mail_and_keeps_the_others(tmp_path: Path) -> None:
    (tmp_path / "confirmation.txt").write_text("Hurra, {{ order_id }}\n\n{{ shop }} thanks {{ name }}.\r\n")
    shop = Shop("a@b.c", "Mugs", folder=tmp_path)
    subject, text, html = parts("confirmation", shop)
    assert subject.startswith("Hurra, ord_")
    assert text.startswith("Mugs thanks Ann Archer.\n")
    assert "<p>Mugs thanks Ann Archer.</p>" in html
    assert parts("order_cancelled", shop) == parts("order_cancelled", Shop("a@b.c", "Mugs"))


def test_a_shop_replaces_the_layout_and_the_html_of_a_mail_and_html_stays_escaped(tmp_path: Path) -> None:
    (tmp_path / "layout.html").write_text(
        "<h1>{{ shop }}</h1>{% for each in paragraphs %}<p>{{ each }}</p>{% endfor %}"
    )
    (tmp_path / "confirmation.html").write_text("<b>{{ shop }}: {{ total }}</b>")
    shop = Shop("a@b.c", "Mug & Co", folder=tmp_path)
    assert parts("confirmation", shop)[2].strip() == "<b>Mug &amp; Co: 1234.50 GBP</b>"
    assert parts("order_failed", shop)[2].startswith("<h1>Mug &amp; Co</h1><p>")


def test_a_language_of_the_shop_falls_back_to_english_where_it_has_no_template(tmp_path: Path) -> None:
    (tmp_path / "fr").mkdir()
    (tmp_path / "fr" / "confirmation.txt").write_text("Merci\n\nMerci pour {{ total }}.\n")
    shop = shop_of({"ZEROCART_MAIL_LANGUAGE": "fr", "ZEROCART_MAIL_TEMPLATES": str(tmp_path)})
    assert parts("confirmation", shop)[0] == "Merci"
    assert parts("order_cancelled", shop)[0].startswith("Your order")


def test_a_setting_lists_the_mails_that_are_not_sent() -> None:
    assert shop_of({"ZEROCART_MAILS_OFF": "confirmation, welcome_tips,"}).mails_off == {"confirmation", "welcome_tips"}


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"ZEROCART_MAIL_LANGUAGE": "fr"}, "ZEROCART_MAIL_LANGUAGE"),
        ({"ZEROCART_MAIL_TEMPLATES": "/no/such/folder"}, "ZEROCART_MAIL_TEMPLATES"),
        ({"ZEROCART_MAILS_OFF": "confirmation, order_shiped"}, "order_shiped"),
        ({"ZEROCART_MAILS_OFF": "password_reset"}, "password_reset"),
        ({"ZEROCART_SHOP_URL": "shop.example.com"}, "ZEROCART_SHOP_URL"),
        ({"ZEROCART_SHOP_URL": "https://shop.example.com/?a=b"}, "ZEROCART_SHOP_URL"),
    ],
)
def test_settings_without_templates_are_refused_at_the_start(environ: dict[str, str], named: str) -> None:
    with pytest.raises(ZerocartError, match=named):
        shop_of(environ)


@pytest.mark.parametrize("name", ["Mugs", "Mug & Söhne", 'The "Mug", Ltd', "杯" * 40])
def test_a_mail_on_the_wire_has_ascii_headers_that_a_mail_program_reads(name: str) -> None:
    sample_mail = sample("confirmation")
    mail = compose(replace(sample_mail, values={**sample_mail.values, "number": "Nr. 1 ü"}), Shop("a@b.c", name))
    sent = mail.as_bytes(policy=policy.SMTP)
    assert sent.partition(b"\r\n\r\n")[0].isascii()
    read = message_from_bytes(sent, policy=policy.default)
    assert str(read["From"].addresses[0].display_name) == name
    assert read["From"].addresses[0].addr_spec == "a@b.c"
    assert "Nr. 1 ü" in read["Subject"]
    assert read.get_content_type() == "multipart/alternative"
    for kind in ("plain", "html"):
        whole, part = mail.get_body((kind,)), read.get_body((kind,))
        assert whole is not None
        assert part is not None
        assert part.get_content().splitlines() == whole.get_content().splitlines()


def test_a_header_of_a_mail_has_one_line() -> None:
    mail = replace(sample("confirmation"), about=("X-Zerocart-Order", "ord_1\r\nBcc: eve@example.com"))
    with pytest.raises(ValueError, match="several lines"):
        compose(mail, Shop("a@b.c"))
