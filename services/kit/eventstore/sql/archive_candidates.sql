-- The next $2 events of a service after the position $1, and up to $3, that are older than $4; with each event that ends a
-- finished stream, the name and the version of the stream. A stream is finished by its last event whose type is not one
-- of $6: that must be one of $5. An event that is not published yet, and those after it, are not looked at.
WITH page AS (
    SELECT e.position, e.stream, e.version, e.type, e.time
    FROM events AS e
    WHERE e.position > $1 AND e.position <= $3
    ORDER BY e.position
    LIMIT $2
)

SELECT p.position, s.stream, s.version
FROM page AS p
LEFT JOIN LATERAL (
    SELECT h.stream, h.version FROM streams AS h
    WHERE
        h.stream = p.stream AND h.version = p.version AND p.type = ANY($5::text[] || $6::text[])
        AND coalesce(
            (
                SELECT e.type FROM events AS e
                WHERE e.stream = p.stream AND e.type <> ALL($6::text[])
                ORDER BY e.version DESC LIMIT 1
            ) = ANY($5::text[]),
            -- the event that finished it is archived already
            EXISTS (SELECT FROM log.archived_streams AS a WHERE a.stream = p.stream AND a.service = current_schema())
        )
) AS s ON true
WHERE p.position < coalesce(
    (
        SELECT min(y.position) FROM page AS y
        WHERE y.time >= $4 OR EXISTS (SELECT FROM outbox AS o WHERE o.stream = y.stream)
    ),
    9223372036854775807
)
ORDER BY p.position
