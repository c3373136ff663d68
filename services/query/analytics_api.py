"""Analytics over REST: how many orders, how much money, which products and customers, how long until confirmed.

Periods are days, ISO weeks and months in UTC, by the moment at which an order was placed. Figures are of the orders as
they are now: what is cancelled a month later is missing in the revenue of the month in which it was placed.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from services.kit.auth.access import needs
from services.kit.rest.app import json_router
from services.kit.rest.params import level_with
from services.query.analytics import Question, Sums
from services.query.analytics_answers import (
    CONFIRMATION_COLUMNS,
    Confirmations,
    Report,
    columns_of,
    confirmation_times,
    figures_of,
    shown,
)
from services.query.analytics_parameters import AskedInterval, Range, asked, check_points
from services.query.csv_export import CSV, CSV_RESPONSE, Sheet, csv_wanted, lines

__all__ = ["router"]

VIEWS_READ = ("analytics",)
Asked = Annotated[Question, Depends(asked)]


def router(sums: Sums) -> APIRouter:
    """The routes of analytics."""
    routes = json_router()
    ready = [needs("analytics:read"), level_with(partial(sums.wait_for, views=VIEWS_READ))]
    documented: dict[str, Any] = {"response_model_exclude_none": True, "responses": CSV_RESPONSE, "dependencies": ready}

    @routes.get("/analytics/orders", response_model=Report, **documented)
    async def figures_of_orders(request: Request, response: Response, question: Asked) -> Any:
        """What the orders placed in a range of days add up to, by period or by group; drafts are not placed."""
        if csv_wanted(request.headers.get("accept", "")):
            return await Sheet.of(sums.stream(question), columns_of(question), shown=figures_of)
        response.headers["Vary"] = "Accept"
        figures = [shown(figures_of(row)) for row in await sums.rows(question)]
        return {"from": question.start, "to": question.end, "figures": figures}

    @routes.get("/analytics/confirmation-times", response_model=Confirmations, **documented)
    async def times_to_confirm(
        request: Request, response: Response, range_: Range, interval: AskedInterval = None
    ) -> Any:
        """How long the orders placed in a range of days took from coming in to being confirmed."""
        check_points(*range_, interval)
        start, end = range_
        times = confirmation_times(await sums.confirmations(start, end, interval))
        if csv_wanted(request.headers.get("accept", "")):
            return Response(lines(CONFIRMATION_COLUMNS, times, header=True), media_type=CSV, headers={"Vary": "Accept"})
        response.headers["Vary"] = "Accept"
        return {"from": start, "to": end, "times": times}

    return routes
