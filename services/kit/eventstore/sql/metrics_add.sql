-- Adds one flush of a process to the totals of its service, once, and notifies the listeners.
WITH fresh AS (
    INSERT INTO metric_flushes AS known (process, number) VALUES ($1, $2)
    ON CONFLICT (process) DO UPDATE SET number = excluded.number, at = now() WHERE known.number < excluded.number
    RETURNING true
), added AS (
    INSERT INTO metrics AS known (service, day, name, labels, slot, value)
    SELECT $3, wanted.day, wanted.name, wanted.labels, wanted.slot, wanted.value
    FROM unnest($4::text[]::date[], $5::text[], $6::text[], $7::text[]::smallint[], $8::text[]::double precision[])
        AS wanted (day, name, labels, slot, value)
    WHERE EXISTS (SELECT FROM fresh)
    ORDER BY wanted.day, wanted.name, wanted.labels, wanted.slot -- the same order in every process: no deadlock
    ON CONFLICT (service, day, name, labels, slot) DO UPDATE SET value = known.value + excluded.value
), forgotten AS (
    DELETE FROM metric_flushes WHERE at < now() - interval '1 day' AND process <> $1
)
SELECT pg_notify('zerocart_metrics', '')
