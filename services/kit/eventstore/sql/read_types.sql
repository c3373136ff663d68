-- The events of the types $7 after ($1, $2, $3) and up to ($4, $5, $6), which must be final: up to $8 events, ending
-- with the one that reaches $9 bytes of data.
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
        AND type = ANY($7::text[])
    ORDER BY epoch, transaction_id, position
    LIMIT $8
) AS page
WHERE coalesce(bytes_before, 0) < $9
ORDER BY epoch, transaction_id, position
