CREATE TABLE timeline (
    order_id text COLLATE "C" NOT NULL,
    position text COLLATE "C" NOT NULL,
    time timestamptz NOT NULL,
    service text NOT NULL,
    type text NOT NULL,
    who text NOT NULL,
    on_behalf_of text,
    by text COLLATE "C",
    words text NOT NULL,
    why text,
    PRIMARY KEY (order_id, position)
);
