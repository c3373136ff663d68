-- The events of the stream $1 of this service with a version above $2, and the archives that contain such events: a row
-- of an archive has no position, the name of its file as `stream`, the stream as `type` and the members of the file as
-- `data`. One statement, so one snapshot: an event that is archived or restored meanwhile is seen in one of the two places.
SELECT service, stream, version, position, type, time, data, meta
FROM events
WHERE stream = $1 AND version > $2
UNION ALL
SELECT
    s.service, (SELECT a.file FROM log.archives AS a WHERE a.archive = s.archive), NULL, NULL, s.stream, NULL,
    to_json(s.members), NULL
FROM log.archived_streams AS s
WHERE s.stream = $1 AND s.service = current_schema() AND s.last_version > $2
ORDER BY version
