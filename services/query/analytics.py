"""Analytics over REST: how many orders, how much money, which products and customers, how long until confirmed.

Periods are days, ISO weeks and months in UTC, by the moment at which an order was placed. Figures are of the orders as
they are now: what is cancelled a month later is missing in the revenue of the month in which it was placed.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Response

from services.kit.access import needs
from services.kit.errors import Unavailable
from services.kit.rest import json_router
from services.query.asking import level_with
from services.query.figures import (
    CONFIRMATION_COLUMNS,
    Confirmations,
    Report,
    columns_of,
    confirmation_times,
    figures_of,
    shown,
)
from services.query.questions import AskedInterval, Range, asked, check_points
from services.query.sheets import CSV, CSV_RESPONSE, Sheet, lines
from services.query.sums import Question, Sums

__all__ = ["router"]

VIEWS_READ = ("analytics",)
EXPORTS_AT_ONCE_MAX = 2
"""Of the connections of the pool, so that some are left for questions."""

Asked = Annotated[Question, Depends(asked)]
Format = Annotated[
    Literal["json", "csv"], Query(alias="format", description="JSON, or a CSV file to be kept.", examples=["csv"])
]


def router(sums: Sums) -> APIRouter:
    """The routes of analytics."""
    routes = json_router()
    ready = [needs("analytics:read"), level_with(sums.wait_for, VIEWS_READ)]
    documented: dict[str, Any] = {"response_model_exclude_none": True, "responses": CSV_RESPONSE, "dependencies": ready}
    exports = Exports(sums)

    @routes.get("/analytics/orders", response_model=Report, **documented)
    async def figures_of_orders(question: Asked, file: Format = "json") -> Any:
        """What the orders placed in a range of days add up to, by period or by group; drafts are not placed."""
        if file == "csv":
            return await exports.figures(question)
        rows = await sums.rows(question)
        figures = [shown(figures_of(row)) for row in rows]
        return {"from": question.start, "to": question.end, "figures": figures}

    @routes.get("/analytics/confirmation-times", response_model=Confirmations, **documented)
    async def times_to_confirm(range_: Range, interval: AskedInterval = None, file: Format = "json") -> Any:
        """How long the orders placed in a range of days took from coming in to being confirmed."""
        check_points(*range_, interval)
        start, end = range_
        times = confirmation_times(await sums.confirmations(start, end, interval))
        if file == "csv":
            return Response(lines(CONFIRMATION_COLUMNS, times, header=True), media_type=CSV)
        return {"from": start, "to": end, "times": times}

    return routes


class Exports:
    """Figures as files that are written while they are read; only so many at once."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._running = 0

    async def figures(self, question: Question) -> Response:
        """The file, with all products or customers; Unavailable if too many are being written, or at its beginning."""
        if self._running == EXPORTS_AT_ONCE_MAX:
            raise Unavailable("too-many-exports", "other files are being written", 2)
        pieces = self._pieces(replace(question, limit=None))
        return Sheet("orders", await anext(pieces), pieces)

    async def _pieces(self, question: Question) -> AsyncGenerator[str]:
        columns = columns_of(question)
        self._running += 1
        try:
            head = lines(columns, (), header=True)
            async for rows in self._sums.stream(question):
                yield head + lines(columns, map(figures_of, rows))
                head = ""
            if head:
                yield head
        finally:
            self._running -= 1
