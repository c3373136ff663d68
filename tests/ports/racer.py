"""A process that competes for streams and marks: `python -m tests.ports.racer DSN SECONDS`."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import Counter

from services.kit.domain.errors import Unavailable
from services.kit.eventstore.postgres import PostgresEventStore
from tests.ports.harness import append

CALLERS = 24
STREAMS = 15


async def race(dsn: str, seconds: float) -> Counter[str]:
    store = PostgresEventStore(dsn, "orders")
    end = time.monotonic() + seconds
    outcomes: Counter[str] = Counter()

    async def caller() -> None:
        while time.monotonic() < end:
            stream = f"s{random.randrange(STREAMS)}"
            mark = f"m{int(time.time() * 20)}-{random.randrange(STREAMS)}"
            version = len(await store.read(stream))
            try:
                outcomes[type(await store.append(append(stream, version, *"xyz", mark=mark))).__name__] += 1
            except Unavailable as error:
                outcomes[error.code] += 1

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await store.close()
    return outcomes


if __name__ == "__main__":
    print(json.dumps(asyncio.run(race(sys.argv[1], float(sys.argv[2])))))
