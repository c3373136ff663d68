-- What waits, one row for each number: name, label, value. Every service with a history has a partition of the outbox.
WITH writers AS (
    SELECT relnamespace::regnamespace::text AS service
    FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'log.outbox'::regclass
)
SELECT 'outbox_depth' AS name, service AS label, count(outbox.service) AS value
FROM writers LEFT JOIN log.outbox USING (service) GROUP BY service
UNION ALL
SELECT 'messages_waiting_parked', writers.service, count(failures.service)
FROM writers LEFT JOIN log.failures ON failures.service = writers.service AND parked GROUP BY writers.service
UNION ALL
SELECT 'dead_letters_waiting', '', count(*) FROM dead_letters WHERE status = 'waiting'
UNION ALL
SELECT 'saga_runs', status, count(*) FROM open_runs GROUP BY status
