-- The final events after ($1, $2, $3): up to $4 events, ending with the one that reaches $5 bytes of data.
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
        AND (epoch, transaction_id) < (
            (SELECT c.epoch FROM cluster AS c),
            (SELECT pg_snapshot_xmin(pg_current_snapshot()))
        )
    ORDER BY epoch, transaction_id, position
    LIMIT $4
) AS page
WHERE coalesce(bytes_before, 0) < $5
ORDER BY epoch, transaction_id, position
