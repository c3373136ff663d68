"""The adapters of one service process: event store, relay, failed messages, command handler. They connect when used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from services.kit.commands.handler import CommandHandler
from services.kit.config.settings import Settings
from services.kit.events.missed import Receipts
from services.kit.events.parked import FailedMessages
from services.kit.eventstore.metrics_store import MetricsStore
from services.kit.eventstore.outbox import Publisher, Relay
from services.kit.eventstore.port import EventStore
from services.kit.eventstore.retention import Retention
from services.kit.privacy.vault import Vault
from services.kit.service.waking import wake
from services.kit.telemetry.logging import configure

__all__ = ["Host"]


@dataclass(frozen=True, slots=True)
class Host:
    """The adapters of one service."""

    settings: Settings
    store: EventStore
    relay: Relay
    failures: FailedMessages
    handler: CommandHandler
    receipts: Receipts | None = None
    """Without them the service does not look for events that delivery gave up."""
    metrics_store: MetricsStore | None = None
    """Stores the metrics of the process; a process with several services has none."""
    retention: Retention | None = None
    """Without it nothing is removed because of its age."""

    @classmethod
    def of(
        cls, settings: Settings, store: EventStore, publisher: Publisher, failures: FailedMessages, vault: Vault
    ) -> Host:
        """A host made of these adapters."""
        url = settings.outbox_url
        relay = Relay(store.outbox, publisher, (lambda: wake(url)) if url else None)
        return cls(settings, store, relay, failures, CommandHandler(settings.service, store, relay, vault))

    @classmethod
    def connect(cls, service: str, removed_by_age: Mapping[str, str] = {}) -> Host:
        """The host of a deployed service, on the Postgres and the Kafka that the environment names.

        `removed_by_age` names tables of the service and their columns of times, for `Retention`.
        """
        from services.kit.events.kafka import KafkaPublisher
        from services.kit.events.parked import PostgresFailedMessages
        from services.kit.eventstore.postgres import PostgresEventReader, PostgresEventStore
        from services.kit.privacy.vault import PostgresVault

        settings = Settings.from_environment(service)
        configure(service, settings.log_level)
        settings.require(
            ZEROCART_DATABASE_URL=settings.database_url(), KAFKA_BOOTSTRAP_SERVERS=settings.kafka_bootstrap_servers
        )
        store = PostgresEventStore(settings.database_url, service, archive=settings.archive)
        settings.kafka_security()  # a wrong setting stops the start, not the first publication
        publisher = KafkaPublisher(settings.kafka_bootstrap_servers, settings.topic, settings.kafka_security)
        vault = PostgresVault(store.connections, settings.vault_keys)
        host = cls.of(settings, store, publisher, PostgresFailedMessages(store), vault)
        return replace(
            host,
            receipts=Receipts(
                store.connections, lambda: PostgresEventReader(settings.database_url, archive=settings.archive)
            ),
            metrics_store=MetricsStore(store.connections, service),
            retention=Retention(store.connections, timedelta(days=settings.retention_days), removed_by_age),
        )

    async def close(self) -> None:
        """Publish what is committed, and disconnect."""
        await self.relay.close()
        if self.metrics_store is not None:
            await self.metrics_store.close()
        await self.store.close()
