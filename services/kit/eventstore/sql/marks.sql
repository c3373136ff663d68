-- The appends with the inbox marks $1.
SELECT i.key, i.fingerprint, i.answer, i.stream, i.version, e.position
FROM unnest($1::text []) AS k (key)
CROSS JOIN LATERAL (SELECT * FROM inbox AS i WHERE i.key = k.key) AS i
CROSS JOIN LATERAL (
    SELECT * FROM events AS e WHERE e.stream = i.stream AND e.version = i.version
) AS e
