"""REST routes of analytics.

Periods are days, ISO weeks and months in UTC, by the time at which an order was placed. Figures describe the orders as
they are now: an order that is cancelled in March is no longer part of February's revenue.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request, Response

from services.kit.auth.access import needs
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import at_position
from services.query.analytics import Analytics, AnalyticsQuery
from services.query.analytics_answers import (
    CONFIRMATION_COLUMNS,
    Confirmations,
    Report,
    confirmation_times,
    csv_columns,
    csv_row,
    figures_of,
)
from services.query.analytics_parameters import DateRange, IntervalParameter, analytics_query, check_points
from services.query.csv_export import CSV, VARY, CsvExport, csv_lines, csv_wanted

__all__ = ["routes"]

routes = json_router()

Figures = Annotated[Analytics, provided(Analytics)]
Query = Annotated[AnalyticsQuery, Depends(analytics_query)]
OPTIONS: dict[str, Any] = {
    "dependencies": [needs("analytics:read"), at_position(Analytics, "analytics")],
    "responses": {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
}


@routes.get("/analytics/orders", **OPTIONS)
async def figures_of_orders(request: Request, query: Query, analytics: Figures) -> Answer[Report] | CsvExport:
    """Figures of placed orders.

    Adds up the orders that were placed in a range of days: how many, how much money, and what became of them. Drafts do
    not count. Refused (422) for a combination of product, customer, and country or status: ask for one of them.

    With `Accept: text/csv` the answer is a table with every product or customer, without a limit. A cell that a
    spreadsheet would take for a formula starts with an apostrophe.
    """
    if csv_wanted(request.headers.get("accept", "")):
        return await CsvExport.start(analytics.stream(query), csv_columns(query), render=csv_row)
    figures = [figures_of(row) for row in await analytics.rows(query)]
    return Answer(Report({"from": str(query.start), "to": str(query.end), "figures": figures}), headers=VARY)


@routes.get("/analytics/confirmation-times", **OPTIONS)
async def times_to_confirm(
    request: Request, days: DateRange, analytics: Figures, interval: IntervalParameter = None
) -> Answer[Confirmations] | Response:
    """Times from order to confirmation.

    Answers how long the orders that were placed in a range of days took from their arrival to their confirmation, as
    average, percentiles and histogram. With `Accept: text/csv` the answer is a table without the histogram.
    """
    check_points(*days, interval)
    start, end = days
    times = confirmation_times(await analytics.confirmations(start, end, interval))
    if csv_wanted(request.headers.get("accept", "")):
        return Response(csv_lines(CONFIRMATION_COLUMNS, times, header=True), media_type=CSV, headers=VARY)
    return Answer(Confirmations({"from": str(start), "to": str(end), "times": times}), headers=VARY)
