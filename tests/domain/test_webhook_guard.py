"""Webhooks go to public addresses by HTTPS only, whatever form an address has and whatever a name resolves to."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_network

import httpcore
import pytest

from services.kit.domain.errors import ZerocartError
from services.webhooks.guard import Forbidden, Guard, GuardedBackend
from services.webhooks.settings import WebhooksSettings
from tools.knative_local.cluster import DEFAULTS

STRICT = Guard(WebhooksSettings())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "fec0::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "::10.0.0.1",
        "64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        # versions of Python disagree about these
        "192.0.0.1", "192.0.0.200", "192.88.99.1", "2001:2::1", "2001:20::1", "3fff::1", "5f00::1", "64:ff9b:1::1",
        "::ffff:192.0.0.200", "64:ff9b::c000:c8", "2002:c058:6301::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address):
    with pytest.raises(Forbidden):
        STRICT.check(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::1"]
)
def test_a_public_address_is_allowed(address):
    STRICT.check(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["127.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "017700000001", "127.0.0.1", "[::1]",
     "[::ffff:7f00:1]", "[fe80::1%25eth0]", "169.254.169.254", "0", "localhost", "LOCALHOST.", "shop.localhost"],
)  # fmt: skip
def test_every_form_of_an_inside_address_is_refused_in_a_url(host):
    with pytest.raises(Forbidden):
        STRICT.place(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    ["http://example.com/", "ftp://example.com/", "file:///etc/passwd", "//example.com/", "https:///x", "https://", "x",
     "https://user@example.com/", "https://user:pw@example.com/", "https://example.com/#f", "https://example.com:8443/",
     "https://example.com:0x1bb/", "https://exa mple.com/", "https://example.com\\@127.0.0.1/", "https://例え.jp/",
     "https://example.com/\r\nX: y", "https://example.com:99999/", "gopher://example.com:443/"],
)  # fmt: skip
def test_other_urls_are_refused(url):
    with pytest.raises(Forbidden):
        STRICT.place(url)


def test_the_parts_of_a_url_are_kept():
    assert STRICT.place("https://Example.com/hook?a=b%20c") == ("https", "example.com", 443, "/hook?a=b%20c")
    assert STRICT.place("https://example.com") == ("https", "example.com", 443, "/")


def test_settings_allow_more():
    environment = {
        "ZEROCART_WEBHOOK_NETWORKS": "10.0.0.0/8, 127.0.0.0/8",
        "ZEROCART_WEBHOOK_PORTS": "443,8443",
        "ZEROCART_WEBHOOK_HTTP": "true",
    }
    guard = Guard(WebhooksSettings.from_environment(environment))
    assert guard.place("http://10.1.2.3:8443/")
    for url in ("https://192.168.0.1/", "https://10.1.2.3:22/"):
        with pytest.raises(Forbidden):
            guard.place(url)
    guard.check(ip_address("::ffff:10.0.0.1"))
    assert Guard(WebhooksSettings.from_environment({"ZEROCART_WEBHOOK_PORTS": "*"})).place("https://example.com:9/")


@pytest.mark.parametrize(
    ("name", "value"),
    [("NETWORKS", "10.0.0.1/8"), ("NETWORKS", "inside"), ("PORTS", "https"), ("PORTS", "0"), ("PORTS", "70000"),
     ("PORTS", "443;80"), ("HTTP", "yes")],
)  # fmt: skip
def test_a_wrong_setting_is_named(name, value):
    with pytest.raises(ZerocartError, match=f"ZEROCART_WEBHOOK_{name}"):
        WebhooksSettings.from_environment({f"ZEROCART_WEBHOOK_{name}": value})


class Dialled(Exception):
    """The backend would connect to this address."""


def backend(*answers: list[str]) -> tuple[GuardedBackend, list[str]]:
    """A backend whose name server gives one of these answers after the other, and the addresses that it dials."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) - 1]

    return GuardedBackend(Guard(WebhooksSettings(networks=(ip_network("127.0.0.0/8"),))), resolve), asked


async def test_a_name_with_one_inside_address_is_refused():
    one, _ = backend(["1.1.1.1", "10.0.0.1"])
    with pytest.raises(Forbidden, match=r"10\.0\.0\.1"):
        await one.connect_tcp("example.com", 443, timeout=1)


async def test_a_name_is_resolved_once_and_the_connection_goes_to_the_checked_address():
    one, asked = backend(["127.0.0.1"], ["10.0.0.1"])  # the second answer would be the rebinding
    with pytest.raises(httpcore.ConnectError):
        await one.connect_tcp("example.com", 1, timeout=1)  # nobody listens there
    assert asked == ["example.com"]


async def test_a_name_without_an_address_is_an_error():
    one, _ = backend([])
    with pytest.raises(httpcore.ConnectError):
        await one.connect_tcp("example.com", 443, timeout=1)


@pytest.mark.parametrize(
    ("url", "setting"),
    [
        ("http://example.com/", "ZEROCART_WEBHOOK_HTTP"),
        ("https://example.com:8443/", "ZEROCART_WEBHOOK_PORTS"),
        ("https://127.0.0.1/", "ZEROCART_WEBHOOK_NETWORKS"),
    ],
)
def test_refusal_names_the_setting_that_allows_the_url(url: str, setting: str):
    with pytest.raises(Forbidden, match=setting):
        STRICT.place(url)


def test_refusal_gives_all_reasons_at_once():
    with pytest.raises(Forbidden) as refused:
        STRICT.place("http://127.0.0.1:9000/")
    found = [next(word for word in reason.split() if word.startswith("ZEROCART_")) for reason in refused.value.reasons]
    assert found == ["ZEROCART_WEBHOOK_HTTP", "ZEROCART_WEBHOOK_PORTS", "ZEROCART_WEBHOOK_NETWORKS"]


@pytest.mark.parametrize("url", ["http://localhost:9000/", "http://127.0.0.1:9000/", "http://[::1]:9000/x"])
def test_local_cluster_allows_receivers_on_its_machine_and_no_other_inside_address(url: str):
    guard = Guard(WebhooksSettings.from_environment(DEFAULTS))
    guard.place(url)
    with pytest.raises(Forbidden):
        guard.place("https://192.168.0.1/")


async def test_the_next_address_of_a_name_is_tried_when_the_first_refuses():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        one, _ = backend(["127.0.0.2", "127.0.0.1"])
        stream = await one.connect_tcp("localhost", server.sockets[0].getsockname()[1], timeout=1)
        await stream.aclose()
