-- Renumbers the events of a log whose positions were (epoch, transaction id, number), in their order, and gives its
-- tables the shape of 0001 to 0003. Runs once, before 0006. No service may run.
LOCK TABLE log.cluster, log.events, log.receipts IN ACCESS EXCLUSIVE MODE;

CREATE TEMPORARY TABLE renumbered ON COMMIT DROP AS
SELECT
    service, stream, version, epoch, transaction_id, position AS number,
    (1::bigint << 48) + row_number() OVER (ORDER BY epoch, transaction_id, position) AS position
FROM log.events;
CREATE UNIQUE INDEX ON renumbered (service, stream, version);
CREATE UNIQUE INDEX ON renumbered (epoch, transaction_id, number);
ANALYZE renumbered;

UPDATE log.events AS e SET position = r.position
FROM renumbered AS r WHERE r.service = e.service AND r.stream = e.stream AND r.version = e.version;

-- The tables in which services record how far they have read: the receipts, and tables of their own.
DO $$
DECLARE
    reader text;
    service text;
BEGIN
    FOR reader IN
        SELECT format('%I.%I', c.table_schema, c.table_name)
        FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
        WHERE
            c.column_name = 'transaction_id' AND c.udt_name = 'xid8' AND t.table_type = 'BASE TABLE'
            AND c.table_name NOT IN ('events', 'streams', 'receipts') AND c.table_name NOT LIKE 'receipts!_%' ESCAPE '!'
            AND c.table_schema NOT LIKE 'pg!_%' ESCAPE '!'
        UNION ALL
        VALUES ('log.receipts')
    LOOP
        EXECUTE format(
            'UPDATE %s AS t SET position = coalesce((
                SELECT r.position FROM renumbered AS r
                WHERE (r.epoch, r.transaction_id, r.number) <= (t.epoch, t.transaction_id, t.position)
                ORDER BY r.epoch DESC, r.transaction_id DESC, r.number DESC LIMIT 1
            ), 0)', reader
        );
    END LOOP;
    FOR service IN
        SELECT relnamespace::regnamespace::text FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'log.events'::regclass
    LOOP
        EXECUTE format('DROP VIEW %s.cluster', service);
        EXECUTE format('ALTER TABLE %s.streams DROP COLUMN transaction_id', service);
    END LOOP;
END
$$;

ALTER TABLE log.events DROP COLUMN epoch, DROP COLUMN transaction_id; -- and the index that they are in
CREATE INDEX events_in_order ON log.events (position);
ALTER TABLE log.receipts
    DROP COLUMN epoch, DROP COLUMN transaction_id, ALTER COLUMN position SET DEFAULT 0;
DROP TABLE log.cluster;
CREATE TABLE log.epochs (
    system_identifier bigint NOT NULL,
    cut_at bigint NOT NULL,
    began_at timestamptz NOT NULL DEFAULT now(),
    timeline integer NOT NULL,
    epoch smallint PRIMARY KEY
);
ALTER SEQUENCE log.position MINVALUE 0 START 0 CACHE 1;
SELECT setval('log.position', (1::bigint << 48) + count(*)) FROM renumbered;
