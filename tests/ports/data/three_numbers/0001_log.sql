-- The tables that all services share: events in one global order, the outbox, failed messages, receipts, metrics, the
-- vault. Those of `log` are partitioned by service; a service writes its own partition, which lies in its own schema.

CREATE SCHEMA log;

CREATE TABLE log.cluster (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch smallint NOT NULL,
    system_identifier bigint NOT NULL
);

-- Numbers order the events of one transaction only, so a session may take many at once.
CREATE SEQUENCE log.position AS bigint CACHE 256;

CREATE TABLE log.events (
    transaction_id xid8 NOT NULL DEFAULT pg_current_xact_id(),
    position bigint NOT NULL DEFAULT nextval('log.position'),
    time timestamptz NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    epoch smallint NOT NULL DEFAULT 1,
    service text NOT NULL,
    stream text COLLATE "C" NOT NULL,
    type text NOT NULL,
    data json NOT NULL, -- json, not jsonb: an event is published again byte for byte
    meta json NOT NULL
) PARTITION BY LIST (service);

CREATE INDEX events_in_order ON log.events (epoch, transaction_id, position);

CREATE TABLE log.outbox (
    first_version integer NOT NULL,
    last_version integer NOT NULL CHECK (last_version >= first_version),
    service text NOT NULL,
    stream text COLLATE "C" NOT NULL
) PARTITION BY LIST (service);

CREATE TABLE log.failures (
    service text NOT NULL,
    key text COLLATE "C" NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    last_error text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    parked boolean NOT NULL DEFAULT false,
    attributes json NOT NULL,
    data bytea NOT NULL
) PARTITION BY LIST (service);

-- The position up to which a service has handled every event of the types that it receives.
CREATE TABLE log.receipts (
    service text NOT NULL,
    epoch smallint NOT NULL,
    transaction_id xid8 NOT NULL,
    position bigint NOT NULL,
    checked_at timestamptz NOT NULL DEFAULT '-infinity', -- the last time that a process began to look for missed events
    types text[] COLLATE "C" NOT NULL DEFAULT '{}' -- none before the first check
) PARTITION BY LIST (service);

-- Counters and histograms of processes, added up when a process ends.
CREATE TABLE log.metrics (
    service text NOT NULL,
    day date NOT NULL, -- 1970-01-01 for a metric that is not kept by day
    name text COLLATE "C" NOT NULL,
    labels text COLLATE "C" NOT NULL, -- a JSON object with sorted names
    slot smallint NOT NULL, -- -1: a counter; else a bucket of a histogram
    value double precision NOT NULL
) PARTITION BY LIST (service);

CREATE SCHEMA vault;

-- The key of each person, wrapped by a secret that is not in the database. An erased person keeps a row without a key.
CREATE TABLE vault.keys (
    made_at timestamptz NOT NULL DEFAULT now(),
    erased_at timestamptz,
    person text COLLATE "C" PRIMARY KEY,
    wrapped bytea,
    CHECK ((wrapped IS NULL) = (erased_at IS NOT NULL))
);
