"""What security costs: checking a token (the first time, again), the import that it needs, a password."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time

from services.kit.settings import Settings
from services.kit.tokens import verifier
from services.users.passwords import Passwords
from tests.tokens import TRUST, claims, signed

TOKENS = 1_000
ROUNDS = 5
PASSWORDS = 100
IMPORTED = "import asyncio, json, ssl, asyncpg, pydantic, uvicorn, uvloop, time"
"""What a service has loaded anyway when it checks its first token."""


async def checks() -> None:
    tokens = [signed(claims(f"usr_{number}")) for number in range(TOKENS)]
    first: list[float] = []
    again: list[float] = []
    for _ in range(ROUNDS):
        trusting = verifier(Settings(service="orders", **TRUST))
        for times in (first, again):
            start = time.perf_counter()
            for token in tokens:
                await trusting.verify(token)
            times.append((time.perf_counter() - start) / TOKENS * 1e6)
    print(f"token checked: first {statistics.median(first):.0f} us, again {statistics.median(again):.1f} us")


def imports() -> None:
    wanted = {
        "ours": "from services.kit.jws import public_key; public_key({'kty': 'OKP', 'crv': 'Ed25519', 'x': 'A' * 43})",
        "PyJWT": "import jwt",
    }
    taken: dict[str, list[float]] = {name: [] for name in wanted}
    for _ in range(ROUNDS * 2):
        for name, code in wanted.items():
            program = f"{IMPORTED}\nstart = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
            taken[name].append(float(done.stdout) * 1000)
    for name, times in taken.items():
        print(
            f"import to check a token, {name}: {statistics.median(times):.0f} ms (min {min(times):.0f}, max {max(times):.0f})"
        )


async def passwords() -> None:
    hasher = Passwords()
    hashed = await hasher.hash("correct horse")
    start = time.perf_counter()
    await asyncio.gather(*(hasher.check("correct horse", hashed) for _ in range(PASSWORDS // 2)))
    await asyncio.gather(*(hasher.check("wrong horse", hashed) for _ in range(PASSWORDS // 2)))
    print(f"passwords checked: {PASSWORDS / (time.perf_counter() - start):.0f} /s")
    await hasher.close()


def main() -> None:
    print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", flush=True)
    asyncio.run(checks())
    imports()
    asyncio.run(passwords())


if __name__ == "__main__":
    main()
