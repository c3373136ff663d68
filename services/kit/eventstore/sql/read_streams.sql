-- Every event of the streams $1, of any service, in the global order.
SELECT service, stream, version, epoch, transaction_id, position, type, time, data, meta
FROM events
WHERE stream = ANY($1::text[])
ORDER BY epoch, transaction_id, position
