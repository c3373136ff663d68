-- Stock levels. A command locks the rows of its products in the order of their ids. No race takes a level below zero.
CREATE TABLE stock (
    product_id text COLLATE "C" PRIMARY KEY,
    product_name text,
    on_hand integer NOT NULL CHECK (on_hand >= 0),
    reserved integer NOT NULL CHECK (reserved >= 0 AND reserved <= on_hand),
    low_below integer NOT NULL DEFAULT 0 CHECK (low_below >= 0),
    version integer NOT NULL DEFAULT 0
);

-- Reservations that hold goods, with the time at which they expire.
CREATE TABLE held (
    order_id text COLLATE "C" PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX ON held (expires_at);
