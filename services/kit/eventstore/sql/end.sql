-- The last event up to the horizon $1.
SELECT position FROM events WHERE position <= $1 ORDER BY position DESC LIMIT 1
