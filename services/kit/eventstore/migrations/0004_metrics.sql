-- What processes have counted in their lives, kept when they end: each service writes its own partition.
CREATE TABLE log.metrics (
    service text NOT NULL,
    day date NOT NULL, -- 1970-01-01 for what is not kept by day
    name text COLLATE "C" NOT NULL,
    labels text COLLATE "C" NOT NULL, -- a JSON object, its names in order
    slot smallint NOT NULL, -- -1: a counter; else a cell of a histogram
    value double precision NOT NULL
) PARTITION BY LIST (service);
