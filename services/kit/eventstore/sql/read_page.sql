-- The events after the position $1 and up to $2, which is at most a horizon that an earlier statement returned, of the types
-- $3 if these are given: up to $4 events and $5 bytes. The archives follow, in rows as in read_stream.sql: those that are under
-- way at $1, and the next $6 that begin after it. A page comes to few files, and the catalogue can have thousands.
SELECT service, stream, version, position, type, time, data, meta
FROM log.events_between($1, $2, $3, $4, $5)
WHERE position IS NOT NULL
UNION ALL
SELECT NULL, under_way.file, NULL, NULL, NULL, NULL, NULL, NULL
FROM log.archives AS under_way
WHERE under_way.last_position > $1 AND under_way.first_position <= $1
UNION ALL
SELECT NULL, next.file, NULL, NULL, NULL, NULL, NULL, NULL
FROM (
    SELECT a.file FROM log.archives AS a
    WHERE a.first_position > $1 AND a.first_position <= $2
    ORDER BY a.first_position
    LIMIT $6
) AS next
ORDER BY 4
