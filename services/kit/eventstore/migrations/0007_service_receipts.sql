-- The part of one service, which stands where {service} is.
CREATE TABLE {service}.receipts PARTITION OF log.receipts (
    service DEFAULT '{service}',
    PRIMARY KEY (service)
) FOR VALUES IN ('{service}');

-- What an existing event store has handled already: delivery is not busy with anything for a day.
INSERT INTO {service}.receipts (epoch, transaction_id, position)
SELECT epoch, transaction_id, position
FROM (
    (
        SELECT epoch, transaction_id, position FROM log.events WHERE time < now() - interval '1 day'
        ORDER BY epoch DESC, transaction_id DESC, position DESC LIMIT 1
    )
    UNION ALL
    SELECT 0, '0', 0
) AS found
ORDER BY epoch DESC, transaction_id DESC, position DESC
LIMIT 1;
