-- The events of the services $1 in the streams $2 up to the versions $3, in the global order. Tabs and line breaks, which
-- in JSON can be between tokens only, become spaces: the format of the files uses them.
SELECT
    e.service, e.stream, e.version, e.position, e.type, e.time,
    translate(e.data::text, E'\t\n\r', '   ') AS data, translate(e.meta::text, E'\t\n\r', '   ') AS meta
FROM unnest($1::text[], $2::text[], $3::integer[]) AS w (service, stream, version)
CROSS JOIN LATERAL (
    SELECT * FROM log.events AS e WHERE e.service = w.service AND e.stream = w.stream AND e.version <= w.version
) AS e
ORDER BY e.position
