"""An API server whose authority is older than the letter of RFC 5280: its certificate says nothing of key usage."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.scheduler.clock import PingSourceClock

DUE = datetime.now(UTC) + timedelta(minutes=20)
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Authority:
    """Signs certificates; its own has basic constraints and nothing else."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = self._builder(self._name, self._key.public_key())
        constraints = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    def server(self, folder: Path) -> ssl.SSLContext:
        """A context with a certificate for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self._builder(x509.Name([]), key.public_key()).add_extension(names, critical=True)
        chain, private = folder / "server.pem", folder / "server.key"
        chain.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, private)
        return context


def account(folder: Path, authority: Authority) -> Path:
    (folder / "token").write_text("the-token")
    (folder / "ca.crt").write_bytes(authority.certificate.public_bytes(serialization.Encoding.PEM))
    return folder


@asynccontextmanager
async def api_server(context: ssl.SSLContext) -> AsyncGenerator[tuple[str, list[str]]]:
    """Its address, and the Authorization header of each request."""
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        seen.append(next(line for line in head.splitlines() if line.lower().startswith("authorization:")))
        writer.write(OK)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", seen


async def test_the_clock_is_set_through_an_api_server_with_an_old_authority(tmp_path):
    authority = Authority("cluster")
    async with api_server(authority.server(tmp_path)) as (url, seen):
        await PingSourceClock(url, "shop", "clock", account(tmp_path, authority)).aim(DUE)
    assert seen == ["Authorization: Bearer the-token"]


async def test_another_authority_is_refused_and_the_log_says_why(tmp_path, caplog: pytest.LogCaptureFixture):
    async with api_server(Authority("stranger").server(tmp_path)) as (url, seen):
        await PingSourceClock(url, "shop", "clock", account(tmp_path, Authority("cluster"))).aim(DUE)
    assert seen == []
    (record,) = caplog.records
    assert "CERTIFICATE_VERIFY_FAILED" in record.__dict__["fields"]["cause"]
