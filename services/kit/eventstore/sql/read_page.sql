-- The events after the position $1 and up to $2, which is at most a horizon that an earlier statement returned, of the types
-- $3 if these are given: up to $4 events and $5 bytes.
SELECT service, stream, version, position, type, time, data, meta FROM log.events_between($1, $2, $3, $4, $5)
