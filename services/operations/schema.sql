-- Messages that the broker gave up, whole; one row for each, however often it arrives.
CREATE TABLE dead_letters (
    id text COLLATE "C" PRIMARY KEY,
    source text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    destination text NOT NULL,
    error_code text NOT NULL,
    error_data text NOT NULL,
    deliveries integer NOT NULL DEFAULT 1,
    attributes json NOT NULL,
    data bytea NOT NULL,
    status text NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'replayed', 'discarded')),
    reason text NOT NULL DEFAULT '',
    first_at timestamptz NOT NULL DEFAULT now(),
    last_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz
);
CREATE INDEX dead_letters_waiting ON dead_letters (first_at, id) WHERE status = 'waiting';

-- The position up to which services/operations/counting.py has counted events.
CREATE TABLE counted (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch smallint NOT NULL,
    transaction_id xid8 NOT NULL,
    position bigint NOT NULL
);
INSERT INTO counted (epoch, transaction_id, position) VALUES (0, '0', 0);

-- Saga runs that have not ended.
CREATE TABLE open_runs (
    stream text COLLATE "C" PRIMARY KEY,
    status text NOT NULL
);
