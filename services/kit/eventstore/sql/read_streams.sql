-- Every event of the streams $1, of any service, in the global order.
SELECT service, stream, version, position, type, time, data, meta
FROM events
WHERE stream = ANY($1::text[])
ORDER BY position
