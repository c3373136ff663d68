-- The final events after ($1, $2, $3) and up to ($4, $5, $6), of the types $7 if these are given: up to $8 events,
-- ending with the one that reaches $9 bytes of data.
-- An event is final if no running transaction can still append before it. One statement, so that the oldest running
-- transaction and the rows come from the same snapshot.
SELECT service, stream, version, epoch, transaction_id, position, type, time, data, meta
FROM (
    SELECT
        *,
        sum(octet_length(data::text)) OVER (
            ORDER BY epoch, transaction_id, position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS bytes_before
    FROM events
    WHERE
        (epoch, transaction_id, position) > ($1::smallint, $2::xid8, $3::bigint)
        AND (epoch, transaction_id, position) <= ($4::smallint, $5::xid8, $6::bigint)
        AND (epoch, transaction_id) < (
            (SELECT c.epoch FROM cluster AS c),
            (SELECT pg_snapshot_xmin(pg_current_snapshot()))
        )
        AND ($7::text[] IS NULL OR type = ANY($7))
    ORDER BY epoch, transaction_id, position
    LIMIT $8
) AS page
WHERE coalesce(bytes_before, 0) < $9
ORDER BY epoch, transaction_id, position
