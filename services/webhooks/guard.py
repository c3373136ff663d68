"""Where webhooks may go: to public addresses, by HTTPS, unless the settings allow more (OWASP, SSRF prevention).

The name in a URL is resolved once for each connection, and the connection goes to the very address that was checked, so
that a name cannot resolve to another address in between (DNS rebinding).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import httpcore

from services.webhooks.settings import WebhooksSettings

__all__ = ["Forbidden", "Guard", "GuardedBackend", "Place", "Resolve"]

NAT64 = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
SIX_TO_FOUR = IPv6Network("2002::/16")
SPECIAL = (
    NAT64[1],
    *map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "3fff::/20", "5f00::/16")),
)
"""Of the special-purpose registries of IANA, the networks about which versions of Python disagree (`is_global`)."""
COMPATIBLE = IPv6Network("::/96")
LOOPBACK = IPv4Address("127.0.0.1")
Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Forbidden(Exception):
    """The settings do not allow this place, for these reasons."""

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class Place(NamedTuple):
    """The parts of a checked URL."""

    scheme: str
    host: str
    port: int
    target: str


class Guard:
    """Decides which URLs and addresses are allowed."""

    def __init__(self, settings: WebhooksSettings) -> None:
        self._settings = settings

    def place(self, url: str) -> Place:
        """The parts of the URL; Forbidden tells all reasons why it is not allowed. Names are not resolved here."""
        if not url.isascii() or any(character <= " " or character in "\\\x7f" for character in url):
            raise Forbidden("a URL may have only ASCII characters, and no space or backslash: encode the others")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise Forbidden(f"this is not a URL: {error}") from error
        if not parts.hostname or parts.username is not None or parts.password is not None or parts.fragment:
            raise Forbidden("a URL must have a host, and may have neither a user nor a fragment")
        port = port or (80 if parts.scheme == "http" else 443)
        if reasons := list(self._reasons(parts.scheme, parts.hostname, port)):
            raise Forbidden(*reasons)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Place(parts.scheme, parts.hostname, port, target)

    def _reasons(self, scheme: str, host: str, port: int) -> Iterator[str]:
        """Every reason, so that the client can correct all of them with one request to the operator."""
        if scheme not in ("https", *(("http",) if self._settings.http else ())):
            yield "use https://, or ask the operator to set ZEROCART_WEBHOOK_HTTP"
        if scheme in ("https", "http") and self._settings.ports and port not in self._settings.ports:
            allowed = ", ".join(map(str, sorted(self._settings.ports)))
            yield f"port {port} is not allowed: use {allowed}, or ask for it in ZEROCART_WEBHOOK_PORTS"
        try:
            if (address := _literal(host)) is not None:
                self.check(address)
            elif f".{host.rstrip('.')}".endswith(".localhost"):  # RFC 6761: such a name is always loopback
                self.check(LOOPBACK)
        except Forbidden as forbidden:
            yield from forbidden.reasons

    def check(self, address: Address) -> None:
        """Forbidden if the address is neither public nor in an allowed network."""
        if any(address in network for network in self._settings.networks):
            return
        inner = _embedded(address)
        if inner is not None and any(inner in network for network in self._settings.networks):
            return
        if not _is_public(address) or (inner is not None and not _is_public(inner)):
            allow = "the operator can allow its network with ZEROCART_WEBHOOK_NETWORKS"
            raise Forbidden(f"the address {address} is not public: {allow}")


class GuardedBackend(httpcore.AsyncNetworkBackend):
    """Connects to addresses that the guard allows."""

    def __init__(self, guard: Guard, resolve: Resolve | None = None) -> None:
        self._guard = guard
        self._resolve = resolve or _resolved
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name once, check all addresses, connect to one that accepts; Forbidden if any is not allowed."""
        try:
            async with asyncio.timeout(timeout):
                found = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout("the name was not resolved in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"the name cannot be resolved: {error.strerror}") from error
        for each in found:
            self._guard.check(ip_address(each.partition("%")[0]))
        failed = httpcore.ConnectError("the name has no address")
        for each in found:
            try:
                return await self._backend.connect_tcp(each, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failed = error  # `localhost` is `::1` as well, where a receiver may not listen
        raise failed

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


async def _resolved(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def _literal(host: str) -> Address | None:
    """The address that a host is, in whatever form `getaddrinfo` accepts: `127.1`, `0x7f.1`, `2130706433`, `::1`."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _embedded(address: Address) -> IPv4Address | None:
    """The IPv4 address to which an IPv6 address leads."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in NAT64) or address in COMPATIBLE:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address):
        mapped = address.ipv4_mapped
        if mapped is not None:
            return _is_public(mapped)
        if address in NAT64[0] or address in SIX_TO_FOUR:
            return True  # its embedded address decides
        if address.is_site_local:
            return False
    if any(address in network for network in SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)
