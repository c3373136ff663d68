-- The number of events of the types $3 (NULL: of all, with those of archives that reach beyond $1) among the next $2
-- events after the position $1.
SELECT
    count(*) FILTER (WHERE $3::text[] IS NULL OR type = ANY($3::text[]))
    + coalesce((SELECT sum(events) FROM log.archives WHERE last_position > $1 AND $3::text[] IS NULL), 0)::bigint AS events
FROM (SELECT type FROM log.events WHERE position > $1 ORDER BY position LIMIT $2) AS unread
