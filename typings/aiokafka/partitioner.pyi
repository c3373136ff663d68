from collections.abc import Callable, Sequence

DefaultPartitioner: Callable[[], Callable[[bytes | None, Sequence[int], Sequence[int]], int]]

def murmur2(data: bytes) -> int: ...
