-- Removes the outbox rows with the services $1, the streams $2 and the first versions $3, which are texts for the same
-- reason as the positions in append.sql.
DELETE FROM outbox AS o
USING unnest($1::text [], $2::text [], $3::text []) AS gone (service, stream, first_version)
WHERE o.service = gone.service AND o.stream = gone.stream AND o.first_version = gone.first_version::integer
