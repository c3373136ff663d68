-- How far each service has handled the events that it receives: each service writes its own partition.
CREATE TABLE log.receipts (
    service text NOT NULL,
    epoch smallint NOT NULL,
    transaction_id xid8 NOT NULL,
    position bigint NOT NULL, -- with the two before: every event of these types up to here was handled
    checked_at timestamptz NOT NULL DEFAULT '-infinity', -- when a process last began to look for missed events
    types text[] COLLATE "C" NOT NULL DEFAULT '{}' -- none before the first check
) PARTITION BY LIST (service);
