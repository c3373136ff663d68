-- The number of events of the types $5 (NULL: of all) among the next $4 events after a position.
SELECT count(*) FILTER (WHERE $5::text[] IS NULL OR type = ANY($5::text[])) AS events FROM (
    SELECT type FROM log.events
    WHERE (epoch, transaction_id, position) > ($1::integer::smallint, ($2::bigint::text)::xid8, $3::bigint)
    ORDER BY epoch, transaction_id, position
    LIMIT $4
) AS unread
