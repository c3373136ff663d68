-- How far the log has been counted (services/operations/counting.py), and the saga runs that are not at rest.
CREATE TABLE counted (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch smallint NOT NULL,
    transaction_id xid8 NOT NULL,
    position bigint NOT NULL
);
INSERT INTO counted (epoch, transaction_id, position) VALUES (0, '0', 0);

CREATE TABLE open_runs (
    stream text COLLATE "C" PRIMARY KEY,
    status text NOT NULL
);
