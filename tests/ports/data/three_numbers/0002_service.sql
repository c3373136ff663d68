-- The tables of one service; runs once per service, with its name in the place of {service}.

CREATE SCHEMA {service};

CREATE TABLE {service}.events PARTITION OF log.events (
    service DEFAULT '{service}',
    PRIMARY KEY (stream, version) -- the service is the partition
) FOR VALUES IN ('{service}');

CREATE TABLE {service}.outbox PARTITION OF log.outbox (
    service DEFAULT '{service}',
    PRIMARY KEY (stream, first_version)
) FOR VALUES IN ('{service}')
-- A queue whose rows live for a moment: dead rows must not pile up at the head of its index.
WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE {service}.failures PARTITION OF log.failures (
    service DEFAULT '{service}',
    PRIMARY KEY (key)
) FOR VALUES IN ('{service}');

CREATE TABLE {service}.receipts PARTITION OF log.receipts (
    service DEFAULT '{service}',
    PRIMARY KEY (service)
) FOR VALUES IN ('{service}');
INSERT INTO {service}.receipts (epoch, transaction_id, position) VALUES (0, '0', 0);

CREATE TABLE {service}.metrics PARTITION OF log.metrics (
    PRIMARY KEY (service, day, name, labels, slot)
) FOR VALUES IN ('{service}');

-- The last flush of each process: a repeated flush adds nothing.
CREATE TABLE {service}.metric_flushes (
    process text COLLATE "C" PRIMARY KEY,
    number integer NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- The current version of each stream.
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

-- Shows a writer whether it is connected to the cluster of the current epoch.
CREATE VIEW {service}.cluster AS SELECT epoch, system_identifier FROM log.cluster;
