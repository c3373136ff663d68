"""Runs the calls of libraries that block, so many at a time that writers which wait leave room for the reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["in_thread"]

THREADS = 40
_pool = ThreadPoolExecutor(THREADS, "gauntlet")
T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """The result of a call that blocks."""
    return await asyncio.get_running_loop().run_in_executor(_pool, call)
