-- The active webhook endpoints for which messages wait, or whose latest attempts failed; at most $1 messages are counted.
SELECT endpoints.id AS endpoint_id, waiting.messages AS waiting, waiting.oldest_at, waiting.next_at, failures, failing_since
FROM webhooks.endpoints
CROSS JOIN LATERAL (
    SELECT count(*) AS messages, min(created_at) AS oldest_at, min(next_at) AS next_at
    FROM (
        SELECT created_at, next_at FROM webhooks.deliveries
        WHERE endpoint_id = endpoints.id AND state = 'pending' ORDER BY next_at LIMIT $1
    ) AS due
) AS waiting
WHERE active AND (waiting.messages > 0 OR failing_since IS NOT NULL)
ORDER BY failing_since, endpoints.id
