"""Creates the topic of all events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol, cast

from services.kit.config.kafka_security import KafkaSecurity, plaintext

__all__ = ["create_topic"]

WAIT_SECONDS_MAX = 30.0
RETRY_SECONDS = 0.2


class _Answer(Protocol):
    topic_errors: Sequence[tuple[str, int, str | None]]


async def create_topic(
    bootstrap_servers: str,
    topic: str,
    partitions: int,
    wait_seconds: float = WAIT_SECONDS_MAX,
    replicas: int = 1,
    security: KafkaSecurity = plaintext,
) -> None:
    """Create the topic unless it is there, waiting for the broker to be ready; an existing one stays as it is."""
    from aiokafka.errors import KafkaError

    deadline = asyncio.get_running_loop().time() + wait_seconds
    while True:
        try:
            await _create(bootstrap_servers, topic, partitions, replicas, security)
        except (KafkaError, OSError):
            if asyncio.get_running_loop().time() > deadline:
                raise
            await asyncio.sleep(RETRY_SECONDS)
        else:
            return


async def _create(bootstrap_servers: str, topic: str, partitions: int, replicas: int, security: KafkaSecurity) -> None:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import TopicAlreadyExistsError, for_code

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, **security())
    try:
        await admin.start()
        answer = cast("_Answer", await admin.create_topics([NewTopic(topic, partitions, replicas)]))
    finally:
        await admin.close()
    # a refusal comes as a code in the answer, not as an exception
    for _, code, message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(message)
