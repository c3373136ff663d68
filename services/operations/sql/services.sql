-- Each service with a database role: the names of its sessions of this database, and the last event that it appended.
WITH roles AS (
    SELECT oid, substr(rolname, length($1::text) + 1) AS service FROM pg_roles WHERE starts_with(rolname, $1::text)
), writers AS (
    SELECT relnamespace::regnamespace::text AS service
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'log.events'::regclass
)
SELECT roles.service, last.type, last.time,
    ARRAY(
        SELECT application_name FROM pg_stat_activity WHERE usesysid = roles.oid AND datname = current_database()
    ) AS sessions
FROM roles
LEFT JOIN writers ON writers.service = roles.service
LEFT JOIN LATERAL (
    SELECT e.type, e.time FROM log.events AS e WHERE e.service = writers.service ORDER BY e.position DESC LIMIT 1
) AS last ON true
ORDER BY roles.service
