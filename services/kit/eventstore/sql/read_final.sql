-- The final events after the position $1: up to $2 events and $3 bytes.
SELECT service, stream, version, position, type, time, data, meta FROM log.final_events($1, $2, $3)
