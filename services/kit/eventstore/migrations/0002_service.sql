-- What one service has of the log: run once per service, which stands where {service} is.

CREATE SCHEMA {service};

CREATE TABLE {service}.events PARTITION OF log.events (
    service DEFAULT '{service}',
    PRIMARY KEY (stream, version) -- the service is the partition
) FOR VALUES IN ('{service}');

CREATE TABLE {service}.outbox PARTITION OF log.outbox (
    service DEFAULT '{service}',
    PRIMARY KEY (stream, first_version)
) FOR VALUES IN ('{service}')
-- it is a queue: rows live for a moment, and those dead must not pile up at the head of its index
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE {service}.failures PARTITION OF log.failures (
    service DEFAULT '{service}',
    PRIMARY KEY (key)
) FOR VALUES IN ('{service}');

CREATE TABLE {service}.streams (
    transaction_id xid8 NOT NULL,
    version integer NOT NULL,
    appended integer NOT NULL,
    stream text COLLATE "C" PRIMARY KEY
) WITH (fillfactor = 70); -- room for the next version beside the last

CREATE TABLE {service}.inbox (
    at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL,
    key text COLLATE "C" PRIMARY KEY,
    stream text COLLATE "C" NOT NULL,
    fingerprint text NOT NULL,
    answer text NOT NULL
);

-- Shows a writer whether this is still the cluster that the current epoch belongs to.
CREATE VIEW {service}.cluster AS SELECT epoch, system_identifier FROM log.cluster;
