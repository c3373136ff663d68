-- The appends with the inbox marks $1. An event that is archived gets the last position of its archive.
SELECT
    i.key, i.fingerprint, i.answer, i.stream, i.version,
    coalesce(
        (SELECT e.position FROM events AS e WHERE e.stream = i.stream AND e.version = i.version),
        (
            SELECT max((SELECT a.last_position FROM log.archives AS a WHERE a.archive = s.archive))
            FROM log.archived_streams AS s
            WHERE s.stream = i.stream AND s.service = current_schema()
        ),
        0
    ) AS position
FROM unnest($1::text []) AS k (key)
CROSS JOIN LATERAL (SELECT * FROM inbox AS i WHERE i.key = k.key) AS i
