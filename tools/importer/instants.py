"""Local times of a file as instants, with a note where clocks skipped or repeated the time."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tools.importer.mapping import EXCEL, ISO, Mapping
from tools.importer.records import Note

__all__ = ["Clock"]

TOO_FINE = re.compile(r"(\.[0-9]{6})[0-9]+")
EXCEL_DAY_0 = datetime(1899, 12, 30)  # noqa: DTZ001 - the mapping says the zone


class Clock:
    """Parses times by one mapping."""

    def __init__(self, mapping: Mapping) -> None:
        self._zone = ZoneInfo(mapping.zone)
        self._format = mapping.time_format
        self.read = lru_cache(maxsize=1024)(self._read)  # the lines of an order share one time

    def _read(self, text: str) -> tuple[datetime, Note | None]:
        """The instant in UTC, and a note if it is ambiguous; ValueError if the text is not a time."""
        said = self._parse(text.strip())
        if said.tzinfo is not None:
            return said.astimezone(UTC), None
        local = said.replace(tzinfo=self._zone)  # fold=0: the first of two
        at = local.astimezone(UTC)
        if at.astimezone(self._zone).replace(tzinfo=None) != said:
            return at, Note.TIME_MISSING
        twice = local.replace(fold=1).utcoffset() != local.utcoffset()
        return at, Note.TIME_TWICE if twice else None

    def _parse(self, text: str) -> datetime:
        if self._format == ISO:
            return datetime.fromisoformat(TOO_FINE.sub(r"\1", text))
        if self._format == EXCEL:
            return EXCEL_DAY_0 + timedelta(seconds=round(float(text.replace(",", ".")) * 86_400))
        return datetime.strptime(text, self._format)  # noqa: DTZ007 - the mapping says the zone

    def sortable(self, text: str | None) -> str:
        """A text that sorts as the instant does; a text that is not a time comes first."""
        try:
            return self.read(text or "")[0].isoformat()
        except (ValueError, OverflowError):
            return ""
