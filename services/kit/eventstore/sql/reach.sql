-- The position of the $3rd event after $1, if so many follow up to $2.
SELECT position
FROM events
WHERE position > $1 AND position <= $2
ORDER BY position
OFFSET $3::bigint - 1
LIMIT 1
