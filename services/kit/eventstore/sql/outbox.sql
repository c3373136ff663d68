-- Up to $3 rows of the outbox of the streams $1 to $2, with their events. Ordered by stream, which an index provides,
-- and not by age.
SELECT
    o.first_version, o.last_version,
    e.service, e.stream, e.version, e.position, e.type, e.time, e.data, e.meta
FROM (
    SELECT service, stream, first_version, last_version
    FROM outbox
    WHERE stream BETWEEN $1 AND $2
    ORDER BY stream, first_version
    LIMIT $3
) AS o
CROSS JOIN LATERAL (
    SELECT *
    FROM events AS e
    WHERE e.service = o.service AND e.stream = o.stream AND e.version BETWEEN o.first_version AND o.last_version
) AS e
ORDER BY o.stream, o.service, e.version
