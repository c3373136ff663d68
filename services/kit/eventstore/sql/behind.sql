-- The number of events after a position, counted up to $4.
SELECT count(*) AS events FROM (
    SELECT FROM log.events
    WHERE (epoch, transaction_id, position) > ($1::integer::smallint, ($2::bigint::text)::xid8, $3::bigint)
    LIMIT $4
) AS unread
