-- How far one service without a history has handled events; runs once per such service, with its name in the place of
-- {service}.
CREATE TABLE log.receipts_{service} PARTITION OF log.receipts (
    service DEFAULT '{service}',
    PRIMARY KEY (service)
) FOR VALUES IN ('{service}');
INSERT INTO log.receipts_{service} (epoch, transaction_id, position) VALUES (0, '0', 0);
