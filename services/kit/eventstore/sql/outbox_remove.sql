DELETE FROM outbox AS o
USING unnest($1::text [], $2::text [], $3::integer []) AS gone (service, stream, first_version)
WHERE o.service = gone.service AND o.stream = gone.stream AND o.first_version = gone.first_version
