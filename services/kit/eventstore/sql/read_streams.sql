-- Every event of the streams $1, of any service, in the global order, and the archives that contain such events, in rows
-- as in read_stream.sql.
SELECT service, stream, version, position, type, time, data, meta
FROM events
WHERE stream = ANY($1::text[])
UNION ALL
SELECT
    s.service, (SELECT a.file FROM log.archives AS a WHERE a.archive = s.archive), NULL, NULL, s.stream, NULL,
    to_json(s.members), NULL
FROM log.archived_streams AS s
WHERE s.stream = ANY($1::text[])
ORDER BY position
