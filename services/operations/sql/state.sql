-- What waits, in one row per number: name, label, value.
SELECT 'outbox_depth' AS name, service AS label, count(*) AS value FROM log.outbox GROUP BY service
UNION ALL
SELECT 'messages_waiting_parked', service, count(*) FROM log.failures WHERE parked GROUP BY service
UNION ALL
SELECT 'dead_letters_waiting', '', count(*) FROM dead_letters WHERE status = 'waiting'
UNION ALL
SELECT 'saga_runs', status, count(*) FROM open_runs GROUP BY status
