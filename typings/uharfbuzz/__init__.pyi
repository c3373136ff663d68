"""What the project uses of uharfbuzz, whose own signatures carry no types."""

from collections.abc import Collection
from pathlib import Path

class Blob:
    @staticmethod
    def from_file_path(filename: str | Path) -> Blob: ...

class Face:
    unicodes: Collection[int]
    def __init__(self, *font: Blob) -> None: ...
