"""REST routes of analytics.

Periods are days, ISO weeks and months of a time zone, by the time at which an order was placed. Figures describe the
orders as they are now: an order that is cancelled in March is no longer part of February's revenue.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, cast

from fastapi import Depends, Request, Response

from services.kit.auth.access import Caller, needs
from services.kit.rest.answers import Answer
from services.kit.rest.app import json_router, provided
from services.kit.rest.params import at_position
from services.query.analytics import Analytics
from services.query.analytics_answers import (
    CONFIRMATION_COLUMNS,
    Confirmations,
    Report,
    confirmation_times,
    csv_columns,
    csv_row,
    figures_of,
    range_of,
)
from services.query.analytics_parameters import DateRange, analytics_query
from services.query.csv_export import CSV, VARY, CsvExport, csv_lines, csv_wanted
from services.query.sums import AnalyticsQuery

__all__ = ["routes"]

routes = json_router()

Figures = Annotated[Analytics, provided(Analytics)]
Query = Annotated[AnalyticsQuery, Depends(analytics_query)]
Analyst = Annotated[Caller, needs("analytics:read")]
OPTIONS: dict[str, Any] = {
    "dependencies": [at_position(Analytics, "analytics")],
    "responses": {200: {"content": {CSV: {"schema": {"type": "string"}}}}},
}


@routes.get("/analytics/orders", **OPTIONS)
async def figures_of_orders(
    request: Request, caller: Analyst, query: Query, analytics: Figures
) -> Answer[Report] | CsvExport:
    """Figures of placed orders.

    Adds up the orders that were placed in a range of days: how many there are, how much money they brought, and how
    they ended. Drafts do not count. If the request combines products or customers with another group or filter, the
    service may have to read order by order. Such a request is refused (422) if the range has too many orders: choose a
    shorter range.

    With `Accept: text/csv` the answer is a table with every product or customer, without a limit. A cell that a
    spreadsheet would take for a formula starts with an apostrophe.
    """
    query = replace(query, named=caller.own is None)
    if csv_wanted(request.headers.get("accept", "")):
        return await CsvExport.start(analytics.every_figure(query), csv_columns(query), render=csv_row)
    query, rows = await analytics.figures(query)
    return Answer(cast("Report", {**range_of(query), "figures": [*map(figures_of, rows)]}), headers=VARY)


@routes.get("/analytics/confirmation-times", **OPTIONS)
async def times_to_confirm(
    request: Request, caller: Analyst, query: DateRange, analytics: Figures
) -> Answer[Confirmations] | Response:
    """Times from order to confirmation.

    Answers how long the orders that were placed in a range of days took from their arrival to their confirmation, as
    average, percentiles and histogram. With `Accept: text/csv` the answer is a table without the histogram.
    """
    query, rows = await analytics.confirmations(query)
    times = confirmation_times(rows)
    if csv_wanted(request.headers.get("accept", "")):
        return Response(csv_lines(CONFIRMATION_COLUMNS, times, header=True), media_type=CSV, headers=VARY)
    return Answer(cast("Confirmations", {**range_of(query), "times": times}), headers=VARY)
