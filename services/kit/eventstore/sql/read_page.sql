-- The events after the position $1 and up to $2, of the types $3 if these are given: up to $4 events, ending with the one
-- that reaches $5 bytes of data. $2 is at most a horizon that an earlier statement returned. The archives that may contain
-- events of this page follow, in rows as in read_stream.sql.
SELECT service, stream, version, position, type, time, data, meta
FROM (
    SELECT
        *,
        sum(octet_length(data::text)) OVER (
            ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM events
    WHERE position > $1 AND position <= $2 AND ($3::text[] IS NULL OR type = ANY($3))
    ORDER BY position
    LIMIT $4
) AS page
WHERE coalesce(bytes_before, 0) < $5
UNION ALL
SELECT NULL, file, NULL, NULL, NULL, NULL, NULL, NULL
FROM log.archives
WHERE last_position > $1 AND first_position <= $2
ORDER BY position
