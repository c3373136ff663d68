-- Messages that the broker gave up on, whole, one row each however often it came.
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
