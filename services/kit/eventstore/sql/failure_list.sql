SELECT service, key, attempts, last_error, first_at, last_at, parked, attributes, data
FROM failures
WHERE (parked OR NOT $1) AND ($3 = '' OR attributes ->> 'correlationid' = $3) AND ($4 = '' OR key = $4)
ORDER BY last_at DESC
LIMIT $2
