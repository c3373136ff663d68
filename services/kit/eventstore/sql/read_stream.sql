SELECT service, stream, version, epoch, transaction_id, position, type, time, data, meta
FROM events
WHERE stream = $1 AND version > $2
ORDER BY version
