SELECT service, stream, version, position, type, time, data, meta
FROM events
WHERE stream = $1 AND version > $2
ORDER BY version
