-- Counts each event exactly once: the next $1 in the order of positions, up to $2, and stores how far it came. $2 is the
-- horizon that an earlier statement returned.
WITH here AS (
    SELECT position FROM counted FOR UPDATE
), page AS (
    SELECT e.position, e.service, e.stream, e.version, e.type, e.time, e.data
    FROM log.events AS e
    WHERE e.position > (SELECT here.position FROM here) AND e.position <= $2
    ORDER BY e.position
    LIMIT $1
), said AS (
    SELECT date '1970-01-01' AS day, 'log_events' AS name, json_build_object('producer', service, 'type', type)::text AS labels,
        count(*)::double precision AS value
    FROM page GROUP BY service, type
    UNION ALL
    SELECT (time AT TIME ZONE 'UTC')::date, 'orders_placed', '{}', count(*)
    FROM page WHERE type = 'zerocart.orders.order.created.v1' GROUP BY 1
    UNION ALL
    SELECT date '1970-01-01', 'money', json_build_object(
            'currency', data -> 'amount' ->> 'currency', 'kind', split_part(type, '.', 4))::text,
        sum((data -> 'amount' ->> 'amount')::double precision)
    FROM page
    WHERE type IN ('zerocart.payments.payment.captured.v1', 'zerocart.payments.payment.refunded.v1')
        AND data -> 'amount' ->> 'amount' IS NOT NULL
    GROUP BY 3
    UNION ALL
    SELECT date '1970-01-01', 'stock_refusals', '{}', count(*)
    FROM page WHERE type = 'zerocart.inventory.checked.v1' AND data ->> 'all_items_available' = 'false' GROUP BY 1
    UNION ALL
    SELECT date '1970-01-01', 'provider_reports', json_build_object('what', data ->> 'what')::text, count(*)
    FROM page WHERE type IN ('zerocart.payments.provider.reported.v1', 'zerocart.payments.provider.updated.v1') GROUP BY 3
    UNION ALL
    SELECT date '1970-01-01', 'provider_reports', '{"what" : "refund_refused"}', count(*)
    FROM page WHERE type = 'zerocart.payments.refund.refused.v1' GROUP BY 1
    UNION ALL
    SELECT date '1970-01-01', 'provider_reports', '{"what" : "renewal_refused"}', count(*)
    FROM page WHERE type = 'zerocart.payments.renewal.refused.v1' GROUP BY 1
), added AS (
    INSERT INTO metrics AS known (service, day, name, labels, slot, value)
    SELECT 'operations', day, name, labels, -1, value FROM said
    ON CONFLICT (service, day, name, labels, slot) DO UPDATE SET value = known.value + excluded.value
), runs AS (
    SELECT DISTINCT ON (stream) stream,
        CASE data ->> 'error_code' WHEN 'step-unknown' THEN 'step-unknown' ELSE split_part(type, '.', 4) END AS status
    FROM page
    WHERE type LIKE 'zerocart.fulfillment.run.%'
        AND type NOT IN ('zerocart.fulfillment.run.amended.v1', 'zerocart.fulfillment.run.closed.v1')
    ORDER BY stream, version DESC
), going AS (
    INSERT INTO open_runs (stream, status)
    SELECT stream, CASE status WHEN 'resumed' THEN 'compensating' ELSE status END
    FROM runs WHERE status NOT IN ('completed', 'compensated', 'failed')
    ON CONFLICT (stream) DO UPDATE SET status = excluded.status
), over AS (
    DELETE FROM open_runs USING runs
    WHERE open_runs.stream = runs.stream AND runs.status IN ('completed', 'compensated', 'failed')
), moved AS (
    UPDATE counted SET position = (SELECT max(last.position) FROM page AS last)
    WHERE EXISTS (SELECT FROM page)
)
SELECT count(*) AS events FROM page
