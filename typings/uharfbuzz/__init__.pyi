"""What the project uses of uharfbuzz, whose own signatures carry no types."""

from collections.abc import Collection
from pathlib import Path
from typing import Self

class Blob:
    @classmethod
    def from_file_path(cls, filename: str | Path) -> Self: ...

class Face:
    def __init__(self, *font: Blob) -> None: ...
    @property
    def unicodes(self) -> Collection[int]: ...
