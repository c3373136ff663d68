"""A Kafka that requires TLS and a password."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.kit.config.kafka_security import kafka_security
from services.kit.config.secrets import Secrets
from services.kit.domain.errors import Unavailable, ZerocartError
from services.kit.events.kafka import KafkaPublisher
from services.kit.events.topics import create_topic
from tools.knative_local.kafka import KafkaServer

TOPIC = "guarded"
LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="of-admin"'


class GuardedKafka(KafkaServer):
    """The local Kafka with one listener, for TLS and passwords."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._place = folder
        folder.mkdir(exist_ok=True)
        self.certificate, key = self_signed()
        (folder / "server.pem").write_text(key + self.certificate)
        (folder / "authority.pem").write_text(self.certificate)

    def _configured(self) -> Path:
        properties = super()._configured()
        text = properties.read_text()
        text = text.replace(f"PLAINTEXT://127.0.0.1:{self.port}", f"SASL_SSL://127.0.0.1:{self.port}")
        text = text.replace("=PLAINTEXT:PLAINTEXT,", "=SASL_SSL:SASL_SSL,")
        text = text.replace("listener.name=PLAINTEXT", "listener.name=SASL_SSL")
        text += f"""\
sasl.enabled.mechanisms=PLAIN
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config={LOGIN} user_admin="of-admin" user_zerocart="of-zerocart";
ssl.keystore.type=PEM
ssl.keystore.location={self._place / "server.pem"}
ssl.truststore.type=PEM
ssl.truststore.location={self._place / "authority.pem"}
"""
        properties.write_text(text)
        return properties


def self_signed() -> tuple[str, str]:
    """A certificate for the loopback address, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "guarded")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM).decode(), private.decode()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    server = GuardedKafka(tmp_path_factory.mktemp("guarded"))
    server.start()
    yield server
    server.stop()


def settings(server: GuardedKafka, **others: str) -> Secrets:
    return Secrets(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USER": "zerocart",
            "KAFKA_SASL_PASSWORD": "of-zerocart",
            "KAFKA_CA": server.certificate,
            **others,
        }
    )


async def test_the_authority_and_the_password_give_access(guarded):
    security = kafka_security(settings(guarded))
    await create_topic(guarded.bootstrap_servers, TOPIC, 1, security=security)
    publisher = KafkaPublisher(guarded.bootstrap_servers, TOPIC, security)
    try:
        await publisher.ensure_available()
        await publisher.republish("key", {"id": "1", "type": "t", "source": "/s", "specversion": "1.0"}, b"{}")
    finally:
        await publisher.close()


@pytest.mark.parametrize(
    "other", [{"KAFKA_SASL_PASSWORD": "wrong"}, {"KAFKA_CA": ""}, {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}]
)
async def test_without_the_authority_or_the_password_nothing_is_published(guarded, other):
    security = kafka_security(settings(guarded, **other))
    publisher = KafkaPublisher(guarded.bootstrap_servers, TOPIC, security)
    with pytest.raises(Unavailable):
        await publisher.ensure_available()
    with pytest.raises((KafkaError, OSError)):
        await create_topic(guarded.bootstrap_servers, "refused", 1, wait_seconds=0.0, security=security)


@pytest.mark.parametrize(
    "wrong",
    [{"KAFKA_SECURITY_PROTOCOL": "TLS"}, {"KAFKA_SASL_MECHANISM": "GSSAPI"}, {"KAFKA_CA": "no certificate"}],
)
def test_a_wrong_setting_is_named_in_the_error(wrong):
    given = {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", **wrong}
    with pytest.raises(ZerocartError, match=next(iter(wrong))):
        kafka_security(Secrets(given))()
